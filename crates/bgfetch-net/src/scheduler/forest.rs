//! Fair turns: trees whose levels are storage keys, priorities, registrations and fetches, and
//! whose leaves ask for slots.

use std::collections::{BTreeSet, HashMap};

use super::arena::Arena;
use bgfetch_model::ids::{RegistrationKey, StorageKey};

use super::candidate::Priority;

pub(super) type NodeId = usize;

/// Orders the members of a node: the fewest slots first, then the longest without a turn. Priority
/// classes have a fixed rank, which makes them strict.
type Rank = (u32, u64);

/// Trees that share slots fairly, level by level. Each operation costs O(log n) per level.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: Arena<Node>,
    /// Counts turns, so that "longest without a turn" needs no clock.
    turns: u64,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<NodeId>,
    /// What it stands for; none for roots and leaves.
    group: Option<Group>,
    /// The members that are groups; leaves are never looked up.
    groups: HashMap<Group, NodeId>,
    /// How many members there are, leaves included.
    members: u32,
    /// The members below which a leaf asks for a slot.
    asking: BTreeSet<(Rank, NodeId)>,
    /// The slots held by the leaves below.
    slots: u32,
    /// When it last got a slot; for a newcomer when it came, so that nobody gets ahead of those who
    /// wait by leaving and coming back.
    last_turn: u64,
    /// What a leaf stands for, in its owner's numbering.
    item: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Group {
    StorageKey(StorageKey),
    Priority(Priority),
    Registration(Box<str>),
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

    /// Adds a leaf for a fetch; it does not ask for a slot yet.
    pub(super) fn add_leaf(
        &mut self,
        root: NodeId,
        registration: &RegistrationKey,
        priority: Priority,
        item: usize,
    ) -> NodeId {
        let path = [
            Group::StorageKey(registration.storage_key.clone()),
            Group::Priority(priority),
            Group::Registration(registration.scope.as_str().into()),
        ];
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
    /// groups that it leaves empty.
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
            // The levels above only know whether anybody below asks.
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

    /// The item of the leaf whose turn it is.
    pub(super) fn first(&self, root: NodeId) -> Option<usize> {
        let mut node = root;
        while let Some(&(_, member)) = self.nodes[node].asking.first() {
            node = member;
        }
        (node != root).then(|| self.nodes[node].item)
    }

    /// Counts one more slot for a leaf, which had its turn.
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

    /// Changes a leaf and all groups above it, and with them their order.
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
