//! [`Account`], the name or the number of a user or group, and what the system knows of it.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind};

use rustix::process::getgroups;
use uzers::{Group, User};

/// A user or a group: its name, or its number.
///
/// A text that is the name of no account, and is a number, is the number.
///
/// # Examples
///
/// ```no_run
/// use coreloop::process::Supervisor;
///
/// let by_name = Supervisor::new().user("www-data");
/// let by_number = Supervisor::new().user(33).group(33);
/// # let _ = (by_name, by_number);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Name(String),
    Id(u32),
}

/// The user and the groups of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// The supplementary groups.
    pub(crate) groups: Vec<u32>,
}

impl Identity {
    /// Returns whether these are the supplementary groups of this process. Whether the group
    /// itself is among them makes no difference.
    pub(crate) fn has_groups(&self) -> io::Result<bool> {
        let mut current: BTreeSet<_> = getgroups()?.iter().map(|group| group.as_raw()).collect();
        let mut expected: BTreeSet<_> = self.groups.iter().copied().collect();
        current.insert(self.group);
        expected.insert(self.group);
        Ok(current == expected)
    }

    /// Returns the identity of `user` in `group`, or in the user's own group.
    ///
    /// The supplementary groups are those that the system lists for the user.
    pub(crate) fn of_user(user: &Account, group: Option<&Account>) -> io::Result<Self> {
        let group = group.map(Account::group_id).transpose()?;
        let (id, known) = user.find_user()?;
        let Some(known) = known else {
            let group = group.ok_or_else(|| {
                invalid(format!(
                    "the system does not know the group of the user {user}: set it by \
                     `Supervisor::group`"
                ))
            })?;
            return Ok(Self {
                user: id,
                group,
                groups: vec![group],
            });
        };
        let group = group.unwrap_or_else(|| known.primary_group_id());
        let listed = uzers::get_user_groups(known.name(), group)
            .ok_or_else(|| invalid(format!("the groups of the user {user} cannot be listed")))?;
        let mut groups: Vec<_> = listed.iter().map(Group::gid).collect();
        if !groups.contains(&group) {
            groups.push(group);
        }
        Ok(Self {
            user: id,
            group,
            groups,
        })
    }
}

impl Account {
    /// Returns the number of a user.
    pub(crate) fn user_id(&self) -> io::Result<u32> {
        Ok(self.find_user()?.0)
    }

    /// Returns the number of a group.
    pub(crate) fn group_id(&self) -> io::Result<u32> {
        let name = match &self.0 {
            Kind::Id(id) => return checked(*id),
            Kind::Name(name) => name,
        };
        match uzers::get_group_by_name(name) {
            Some(group) => Ok(group.gid()),
            None => number(name).unwrap_or_else(|| Err(unknown("group", name))),
        }
    }

    /// Returns the number of a user, and what the system knows of the user.
    fn find_user(&self) -> io::Result<(u32, Option<User>)> {
        let id = match &self.0 {
            Kind::Id(id) => checked(*id)?,
            Kind::Name(name) => match uzers::get_user_by_name(name) {
                Some(user) => return Ok((user.uid(), Some(user))),
                None => number(name).unwrap_or_else(|| Err(unknown("user", name)))?,
            },
        };
        Ok((id, uzers::get_user_by_uid(id)))
    }
}

/// Returns the account of this name.
impl From<&str> for Account {
    fn from(name: &str) -> Self {
        Self(Kind::Name(name.to_owned()))
    }
}

/// Returns the account of this name.
impl From<String> for Account {
    fn from(name: String) -> Self {
        Self(Kind::Name(name))
    }
}

/// Returns the account of this number.
impl From<u32> for Account {
    fn from(id: u32) -> Self {
        Self(Kind::Id(id))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => write!(f, "{}", name.escape_default()),
            Kind::Id(id) => write!(f, "{id}"),
        }
    }
}

fn number(name: &str) -> Option<io::Result<u32>> {
    name.parse().ok().map(checked)
}

/// Refuses the number that means "unchanged" to the kernel.
fn checked(id: u32) -> io::Result<u32> {
    if id == u32::MAX {
        return Err(invalid(format!(
            "{id} is the number of no user and no group"
        )));
    }
    Ok(id)
}

fn unknown(what: &str, name: &str) -> io::Error {
    let name = name.escape_default();
    io::Error::new(ErrorKind::NotFound, format!("there is no {what} {name}"))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: impl Into<Account>, group: Option<u32>) -> io::Result<Identity> {
        Identity::of_user(&user.into(), group.map(Account::from).as_ref())
    }

    #[test]
    fn names_and_numbers_lead_to_the_same_user() {
        let root = of("root", None).unwrap();
        assert_eq!((root.user, root.group), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(of(0, None).unwrap(), root);
        assert_eq!(of("0", None).unwrap(), root);
    }

    #[test]
    fn supplementary_groups_are_compared_without_the_own_group() {
        let current: Vec<_> = getgroups().unwrap().iter().map(|id| id.as_raw()).collect();
        let own = rustix::process::getegid().as_raw();
        let mut identity = Identity {
            user: 0,
            group: own,
            groups: current,
        };
        assert!(identity.has_groups().unwrap());
        identity.groups.push(own);
        assert!(identity.has_groups().unwrap());
        identity.groups.push(54_321);
        assert!(!identity.has_groups().unwrap());
    }

    #[test]
    fn another_group_replaces_the_own_one() {
        let root = of("root", Some(12_345)).unwrap();
        assert_eq!((root.user, root.group), (0, 12_345));
        assert!(root.groups.contains(&12_345));
    }

    /// A container may have no list of users.
    #[test]
    fn a_number_without_a_name_needs_a_group() {
        let error = of(54_321, None).unwrap_err();
        assert!(error.to_string().contains("Supervisor::group"), "{error}");
        let unnamed = of(54_321, Some(12_345)).unwrap();
        assert_eq!((unnamed.user, unnamed.group), (54_321, 12_345));
        assert_eq!(unnamed.groups, [12_345]);
    }

    #[test]
    fn unknown_accounts_are_named() {
        let error = of("no such user", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "there is no user no such user");
        let error = Account::from("no-such-group").group_id().unwrap_err();
        assert_eq!(error.to_string(), "there is no group no-such-group");
        let error = of(u32::MAX, Some(0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
