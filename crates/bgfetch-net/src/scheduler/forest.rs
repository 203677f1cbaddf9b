//! Fair scheduling: trees whose levels are priorities, registrations and fetches, and whose leaves
//! ask for slots.

use std::collections::{BTreeSet, HashMap};

use super::arena::Arena;
use bgfetch_model::ids::RegistrationKey;

use super::candidate::Priority;

pub(super) type NodeId = usize;

/// Orders the members of a node: the fewest slots first, then the longest without a turn. Priority
/// classes have a fixed rank, which makes them strict.
type Rank = (u32, u64);

/// Trees that share slots fairly, level by level. Each operation costs O(log n) per level.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Arena<Node>,
    /// Counts turns, so that finding the longest wait needs no clock.
    turns: u64,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<NodeId>,
    /// The group that it represents; `None` for roots and leaves.
    group: Option<Group>,
    /// The members that are groups. Leaves are never looked up by key.
    groups: HashMap<Group, NodeId>,
    /// The number of members, including leaves.
    members: u32,
    /// The members that have a leaf asking for a slot.
    asking: BTreeSet<(Rank, NodeId)>,
    /// The slots held by the leaves below.
    slots: u32,
    /// The turn in which it last got a slot or, before that, in which it was added. So a member
    /// cannot get ahead of others by leaving and coming back.
    last_turn: u64,
    /// The item of a leaf, in its owner's numbering.
    item: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Group {
    Priority(Priority),
    Registration(RegistrationKey),
}

impl Node {
    fn rank(&self) -> Rank {
        match self.group {
            Some(Group::Priority(priority)) => (priority as u32, 0),
            _ => (self.slots, self.last_turn),
        }
    }
}

impl Forest {
    pub(super) fn plant(&mut self) -> NodeId {
        self.nodes.insert(Node::default())
    }

    /// Adds a leaf for a fetch. It does not ask for a slot yet.
    pub(super) fn add_leaf(
        &mut self,
        root: NodeId,
        registration: &RegistrationKey,
        priority: Priority,
        item: usize,
    ) -> NodeId {
        let path = [Group::Priority(priority), Group::Registration(registration.clone())];
        let mut parent = root;
        for group in path {
            parent = match self.nodes[parent].groups.get(&group) {
                Some(&node) => node,
                None => {
                    let node = self.add_member(parent, Some(group.clone()), 0);
                    self.nodes[parent].groups.insert(group, node);
                    node
                }
            };
        }
        self.add_member(parent, None, item)
    }

    fn add_member(&mut self, parent: NodeId, group: Option<Group>, item: usize) -> NodeId {
        self.turns += 1;
        self.nodes[parent].members += 1;
        self.nodes.insert(Node {
            parent: Some(parent),
            group,
            last_turn: self.turns,
            item,
            ..Node::default()
        })
    }

    /// Removes a leaf that neither holds nor asks for a slot, or a root without members, and the
    /// groups that become empty.
    pub(super) fn remove(&mut self, leaf: NodeId) {
        let removed = self.nodes.remove(leaf);
        debug_assert!(removed.members == 0 && removed.slots == 0 && removed.asking.is_empty());
        let Some(parent) = removed.parent else { return };
        let node = &mut self.nodes[parent];
        node.members -= 1;
        if let Some(group) = removed.group {
            node.groups.remove(&group);
        }
        // A root stays until its owner removes it.
        if node.members == 0 && node.parent.is_some() {
            self.remove(parent);
        }
    }

    /// Lets a leaf ask for a slot, or stop asking.
    pub(super) fn set_asking(&mut self, leaf: NodeId, asking: bool) {
        let mut node = leaf;
        while let Some(parent) = self.nodes[node].parent {
            let entry = (self.nodes[node].rank(), node);
            let members = &mut self.nodes[parent].asking;
            // The levels above only record whether any leaf below asks.
            let known = if asking {
                let known = !members.is_empty();
                members.insert(entry);
                known
            } else {
                members.remove(&entry);
                !members.is_empty()
            };
            if known {
                return;
            }
            node = parent;
        }
    }

    /// Returns the item of the leaf whose turn it is.
    pub(super) fn first(&self, root: NodeId) -> Option<usize> {
        let mut node = root;
        while let Some(&(_, member)) = self.nodes[node].asking.first() {
            node = member;
        }
        (node != root).then(|| self.nodes[node].item)
    }

    /// Counts one more slot for a leaf, and its turn.
    pub(super) fn take_slot(&mut self, leaf: NodeId) {
        self.turns += 1;
        let now = self.turns;
        self.update(leaf, |node| {
            node.slots += 1;
            node.last_turn = now;
        });
    }

    /// Counts one slot less for a leaf.
    pub(super) fn free_slot(&mut self, leaf: NodeId) {
        self.update(leaf, |node| node.slots -= 1);
    }

    /// Changes a leaf and all groups above it, and updates their order.
    fn update(&mut self, leaf: NodeId, change: impl Fn(&mut Node)) {
        let mut node = leaf;
        while let Some(parent) = self.nodes[node].parent {
            let before = self.nodes[node].rank();
            change(&mut self.nodes[node]);
            let after = self.nodes[node].rank();
            let members = &mut self.nodes[parent].asking;
            if members.remove(&(before, node)) {
                members.insert((after, node));
            }
            node = parent;
        }
    }
}
