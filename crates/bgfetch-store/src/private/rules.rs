//! What is safe from other users: pure decisions on what the system says about a file.

use crate::Distrust;

/// The permissions of a private directory.
pub(super) const DIRECTORY: u32 = 0o700;

/// The permissions of a private file.
pub(super) const FILE: u32 = 0o600;

/// The bits that concern other users.
const OTHERS: u32 = 0o077;

/// In a directory with this bit, users cannot rename or delete what belongs to others.
const STICKY: u32 = 0o1000;

/// The superuser, and its group.
const ROOT: u32 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

/// What the system says about a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) owner: u32,
    pub(super) group: u32,
    /// The permission bits, with the sticky bit.
    pub(super) mode: u32,
    /// How many names it has.
    pub(super) names: u64,
}

/// The user of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) id: u32,
    pub(super) group: u32,
}

impl User {
    /// Whether the owner could not do more harm to this user than it can anyway.
    fn trusts(self, owner: u32) -> bool {
        owner == self.id || owner == ROOT
    }

    /// Whether the group has no other members than this user. Many systems give each user a group
    /// of the same number, and with it a umask that lets the group write.
    fn is_alone_in(self, group: u32) -> bool {
        group == ROOT || (group == self.group && group == self.id)
    }
}

impl Facts {
    /// Whether others have any access.
    pub(super) fn is_open(self) -> bool {
        self.mode & OTHERS != 0
    }

    /// Whether it is a directory through which others can reach what is in it.
    pub(super) fn is_passable(self) -> bool {
        self.kind == Kind::Directory && self.mode & 0o011 != 0
    }

    fn others_can_write(self, user: User) -> bool {
        self.mode & 0o002 != 0 || (self.mode & 0o020 != 0 && !user.is_alone_in(self.group))
    }

    fn was_made_by(self, user: User) -> Result<(), Distrust> {
        if self.owner == user.id { Ok(()) } else { Err(Distrust::Planted(self.owner)) }
    }

    fn is(self, kind: Kind) -> Result<(), Distrust> {
        match self.kind {
            found if found == kind => Ok(()),
            Kind::Link => Err(Distrust::SymbolicLink),
            _ => Err(Distrust::Kind),
        }
    }
}

/// A directory or a symbolic link on the way to a private directory: nobody else may replace what
/// it leads to.
pub(super) fn check_step(step: Facts, user: User) -> Result<(), Distrust> {
    if !user.trusts(step.owner) {
        return Err(Distrust::Owner(step.owner));
    }
    let replaceable = step.others_can_write(user) && step.mode & STICKY == 0;
    if step.kind == Kind::Directory && replaceable {
        return Err(Distrust::Writable);
    }
    Ok(())
}

/// Anything in a private directory: nobody else may have put it there.
pub(super) fn check_entry(entry: Facts, user: User) -> Result<(), Distrust> {
    if user.trusts(entry.owner) { Ok(()) } else { Err(Distrust::Planted(entry.owner)) }
}

/// Anything that others could reach until now: nobody else may have made or changed it.
pub(super) fn check_exposed(entry: Facts, user: User) -> Result<(), Distrust> {
    check_entry(entry, user)?;
    let has_contents = matches!(entry.kind, Kind::File | Kind::Directory);
    if has_contents && entry.others_can_write(user) { Err(Distrust::Tampered) } else { Ok(()) }
}

/// A directory that is to be used as a private one.
pub(super) fn check_directory(directory: Facts, user: User) -> Result<(), Distrust> {
    directory.is(Kind::Directory)?;
    if directory.owner == user.id { Ok(()) } else { Err(Distrust::Owner(directory.owner)) }
}

/// A directory of ours inside a private one.
pub(super) fn check_inner(inner: Facts, user: User) -> Result<(), Distrust> {
    inner.is(Kind::Directory)?;
    inner.was_made_by(user)
}

/// A file of ours in a private directory. `linked` tells whether it may have names elsewhere.
pub(super) fn check_file(file: Facts, user: User, linked: bool) -> Result<(), Distrust> {
    file.is(Kind::File)?;
    file.was_made_by(user)?;
    if file.names > 1 && !linked { Err(Distrust::HardLink) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: User = User { id: 1000, group: 1000 };
    const STRANGER: u32 = 1001;

    fn facts(kind: Kind, owner: u32, mode: u32) -> Facts {
        Facts { kind, owner, group: 100, mode, names: 1 }
    }

    #[test]
    fn a_step_is_trusted_if_nobody_else_can_replace_what_it_leads_to() {
        use Kind::{Directory, Link};
        for (kind, owner, group, mode, expected) in [
            (Directory, ROOT, ROOT, 0o755, Ok(())),
            (Directory, ROOT, ROOT, 0o1777, Ok(())),
            (Directory, ME.id, 100, 0o755, Ok(())),
            // A umask of 002, and a group for each user.
            (Directory, ME.id, ME.group, 0o775, Ok(())),
            (Directory, ROOT, ROOT, 0o775, Ok(())),
            (Directory, ME.id, 100, 0o775, Err(Distrust::Writable)),
            (Directory, ME.id, 100, 0o1775, Ok(())),
            (Directory, ME.id, ME.group, 0o777, Err(Distrust::Writable)),
            (Directory, ROOT, ROOT, 0o777, Err(Distrust::Writable)),
            (Directory, STRANGER, ROOT, 0o755, Err(Distrust::Owner(STRANGER))),
            // The owner of a sticky directory can rename everything in it.
            (Directory, STRANGER, ROOT, 0o1777, Err(Distrust::Owner(STRANGER))),
            (Link, ROOT, ROOT, 0o777, Ok(())),
            (Link, ME.id, 100, 0o777, Ok(())),
            (Link, STRANGER, 100, 0o777, Err(Distrust::Owner(STRANGER))),
        ] {
            let step = Facts { group, ..facts(kind, owner, mode) };
            assert_eq!(check_step(step, ME), expected, "{step:?}");
        }
    }

    #[test]
    fn others_reach_through_a_directory_if_they_may_search_it() {
        use Kind::{Directory, File};
        for (kind, mode, passable) in [
            (Directory, 0o700, false),
            (Directory, 0o766, false),
            (Directory, 0o710, true),
            (Directory, 0o701, true),
            (File, 0o711, false),
        ] {
            assert_eq!(facts(kind, ME.id, mode).is_passable(), passable, "{kind:?} {mode:o}");
        }
    }

    #[test]
    fn a_group_is_shared_unless_it_is_the_users_own_by_its_number() {
        let user = User { id: 1000, group: 100 };
        for group in [100, 1000] {
            let step = Facts { group, ..facts(Kind::Directory, 1000, 0o770) };
            assert_eq!(check_step(step, user), Err(Distrust::Writable));
        }
    }

    #[test]
    fn a_private_directory_belongs_to_its_user_alone() {
        for (kind, owner, expected) in [
            (Kind::Directory, ME.id, Ok(())),
            (Kind::Directory, STRANGER, Err(Distrust::Owner(STRANGER))),
            // Root's directory is no place for a user's store, nor a user's for root's.
            (Kind::Directory, ROOT, Err(Distrust::Owner(ROOT))),
            (Kind::Link, ME.id, Err(Distrust::SymbolicLink)),
            (Kind::Other, ME.id, Err(Distrust::Kind)),
        ] {
            assert_eq!(check_directory(facts(kind, owner, 0o777), ME), expected);
        }
        let root = User { id: ROOT, group: ROOT };
        let found = check_directory(facts(Kind::Directory, ME.id, 0o700), root);
        assert_eq!(found, Err(Distrust::Owner(ME.id)));
    }

    #[test]
    fn what_others_could_reach_is_used_unless_they_made_it_or_could_change_it() {
        for (kind, owner, mode, expected) in [
            (Kind::File, ME.id, 0o644, Ok(())),
            (Kind::File, ROOT, 0o644, Ok(())),
            (Kind::Directory, ME.id, 0o755, Ok(())),
            (Kind::File, ME.id, 0o666, Err(Distrust::Tampered)),
            (Kind::File, ME.id, 0o660, Err(Distrust::Tampered)),
            // Others could have changed it while they could write to it.
            (Kind::Directory, ME.id, 0o1777, Err(Distrust::Tampered)),
            (Kind::File, STRANGER, 0o600, Err(Distrust::Planted(STRANGER))),
            (Kind::Link, STRANGER, 0o777, Err(Distrust::Planted(STRANGER))),
            // Their bits mean nothing.
            (Kind::Link, ME.id, 0o777, Ok(())),
            (Kind::Other, ME.id, 0o777, Ok(())),
        ] {
            let entry = facts(kind, owner, mode);
            assert_eq!(check_exposed(entry, ME), expected, "{entry:?}");
            let by_owner = expected.or_else(|why| match why {
                Distrust::Tampered => Ok(()),
                why => Err(why),
            });
            assert_eq!(check_entry(entry, ME), by_owner, "{entry:?}");
        }
    }

    #[test]
    fn a_file_is_regular_and_of_the_user_and_only_a_handed_over_one_has_more_names() {
        for (kind, owner, names, expected) in [
            (Kind::File, ME.id, 1, Ok(())),
            (Kind::File, ROOT, 1, Err(Distrust::Planted(ROOT))),
            (Kind::Link, ME.id, 1, Err(Distrust::SymbolicLink)),
            (Kind::Directory, ME.id, 1, Err(Distrust::Kind)),
            (Kind::Other, ME.id, 1, Err(Distrust::Kind)),
        ] {
            let file = Facts { names, ..facts(kind, owner, 0o644) };
            assert_eq!(check_file(file, ME, false), expected, "{file:?}");
        }
        let linked = Facts { names: 2, ..facts(Kind::File, ME.id, 0o644) };
        assert_eq!(check_file(linked, ME, false), Err(Distrust::HardLink));
        assert_eq!(check_file(linked, ME, true), Ok(()));
        for (kind, owner, expected) in [
            (Kind::Directory, ME.id, Ok(())),
            (Kind::Directory, STRANGER, Err(Distrust::Planted(STRANGER))),
            (Kind::File, ME.id, Err(Distrust::Kind)),
            (Kind::Link, ME.id, Err(Distrust::SymbolicLink)),
        ] {
            assert_eq!(check_inner(facts(kind, owner, 0o755), ME), expected);
        }
    }
}
