//! Dropping privileges: from root to the account of `daemon.user`, for good, groups included, and what programs may never
//! gain. Knows no configuration.

use std::fmt;

use super::capabilities::{self, CapabilityError};
use nix::errno::Errno;
use nix::unistd::{getegid, geteuid, getgid, getgroups, getuid, setgid, setgroups, setuid, Gid, Uid, User};

/// How a process stands after [`drop_privileges`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// It was not started as root, so there was nothing to drop; the account was not looked up.
    Never,
    /// It was root and is this user and group from now on.
    Dropped {
        /// User id of the account.
        uid: u32,
        /// Id of the account's own group, the only one left.
        gid: u32,
    },
    /// It stays root because the configuration says so outright: worth a warning.
    Kept,
}

/// Why privileges could not be dropped. The start must end: nothing may be served as root by accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivilegesError {
    /// There is no account of this name.
    UnknownUser(String),
    /// The account could not be looked up.
    Lookup(String, Errno),
    /// The account has the user or the group of root, and the option was not set outright.
    Root(String),
    /// The system refused a step.
    Refused(&'static str, Errno),
    /// The one capability that is to stay cannot be had.
    Capability(CapabilityError),
    /// The system granted all steps and root could be had again.
    Regained(&'static str),
}

impl fmt::Display for Privileges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("not started as root, no privileges to drop"),
            Self::Dropped { uid, gid } => write!(f, "privileges dropped to user {uid} and group {gid}"),
            Self::Kept => {
                f.write_str("running as root, as daemon.user says; a fault would give away the whole machine")
            }
        }
    }
}

impl fmt::Display for PrivilegesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(name) => {
                write!(f, "user {name} is not found on this system (daemon.user takes a number, too)")
            }
            Self::Lookup(name, errno) => write!(f, "user {name} could not be looked up: {}", errno.desc()),
            Self::Root(name) => write!(f, "user {name} is root or of its group; set daemon.user outright to run so"),
            Self::Refused(step, errno) => write!(f, "could not drop privileges, {step}: {}", errno.desc()),
            Self::Capability(error) => error.fmt(f),
            Self::Regained(what) => write!(f, "could not drop privileges, {what}"),
        }
    }
}

impl std::error::Error for PrivilegesError {}

impl From<CapabilityError> for PrivilegesError {
    fn from(error: CapabilityError) -> PrivilegesError {
        PrivilegesError::Capability(error)
    }
}

/// Whether this process has the user or the group of root, so that [`drop_privileges`] has something to do.
pub fn is_privileged() -> bool {
    has_root_user() || has_root_group()
}

/// Becomes the account `name`, when started as root: no other groups, its own group, its user; then makes sure that root
/// cannot be had again. An account that is root itself is obeyed only when the option was set `outright`, not by default. With
/// `foreign` the one capability stays that the use of foreign addresses takes, for this process alone; without, it is given up
/// where it came from outside.
///
/// # Errors
/// When the account cannot be had or the system refuses; the process may then have dropped a part already and must end.
pub fn drop_privileges(name: &str, outright: bool, foreign: bool) -> Result<Privileges, PrivilegesError> {
    if !is_privileged() {
        capabilities::confine(foreign)?;
        return Ok(Privileges::Never);
    }
    let (uid, gid) = account(name)?;
    if (uid.is_root() || gid == ROOT_GROUP) && !outright {
        return Err(PrivilegesError::Root(name.to_owned()));
    }
    if uid.is_root() {
        return Ok(Privileges::Kept);
    }
    if foreign {
        capabilities::hold()?;
    }
    assume(uid, gid)?;
    if foreign {
        capabilities::keep_one()?;
    }
    verify(uid, gid)?;
    Ok(Privileges::Dropped { uid: uid.as_raw(), gid: gid.as_raw() })
}

/// Keeps this thread, the threads that it starts and all their programs from gaining rights by a program's set-user-id bit
/// or capabilities (prctl(2), PR_SET_NO_NEW_PRIVS). It cannot be taken back.
///
/// # Errors
/// When the system does not know this.
#[cfg(target_os = "linux")]
pub fn forgo_new_privileges() -> std::io::Result<()> {
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Other systems have no such thing.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn forgo_new_privileges() -> std::io::Result<()> {
    Ok(())
}

/// Gives what was made at a path to the account `name`, where this process is about to become it.
///
/// # Errors
/// What is wrong with the account, or what the system says.
pub fn hand_over(path: &std::path::Path, name: &str) -> Result<(), String> {
    if !is_privileged() {
        return Ok(());
    }
    let (uid, gid) = account(name).map_err(|error| error.to_string())?;
    nix::unistd::chown(path, Some(uid), Some(gid)).map_err(|errno| format!("{}: {}", path.display(), errno.desc()))
}

/// User and group that this process becomes by [`drop_privileges`]; None where it stays what it is.
///
/// # Errors
/// What is wrong with the account.
pub fn becomes(name: &str) -> Result<Option<(u32, u32)>, PrivilegesError> {
    if !is_privileged() {
        return Ok(None);
    }
    account(name).map(|(uid, gid)| Some((uid.as_raw(), gid.as_raw())))
}

const ROOT_GROUP: Gid = Gid::from_raw(0);

/// The account that everybody knows, and its number where no list of accounts has it, as in a container with nothing but
/// this program in it (the kernel's own number for strangers, user_namespaces(7)).
const STRANGER: (&str, u32) = ("nobody", 65_534);

/// User and group of an account: of that name, of that user number (and its own group, or the group of the same number
/// where there is no such account), or as `user:group` in numbers.
fn account(name: &str) -> Result<(Uid, Gid), PrivilegesError> {
    let (user, group) = name.split_once(':').map_or((name, None), |(user, group)| (user, Some(group)));
    if let Ok(number) = user.parse() {
        let uid = Uid::from_raw(number);
        let own = || User::from_uid(uid).ok().flatten().map_or(Gid::from_raw(number), |account| account.gid);
        return match group.map(str::parse) {
            None => Ok((uid, own())),
            Some(Ok(group)) => Ok((uid, Gid::from_raw(group))),
            Some(Err(_)) => Err(PrivilegesError::UnknownUser(name.to_owned())),
        };
    }
    match User::from_name(name) {
        Ok(Some(account)) => Ok((account.uid, account.gid)),
        // Without a list of accounts there is no account (getpwnam(3) allows these to mean that).
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) if name == STRANGER.0 => {
            Ok((Uid::from_raw(STRANGER.1), Gid::from_raw(STRANGER.1)))
        }
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH) => Err(PrivilegesError::UnknownUser(name.to_owned())),
        Err(errno) => Err(PrivilegesError::Lookup(name.to_owned(), errno)),
    }
}

fn has_root_user() -> bool {
    getuid().is_root() || geteuid().is_root()
}

fn has_root_group() -> bool {
    getgid() == ROOT_GROUP || getegid() == ROOT_GROUP
}

/// The order matters: without the user of root the groups cannot be changed any more.
fn assume(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    setgroups(&[gid]).map_err(|errno| PrivilegesError::Refused("setgroups", errno))?;
    setgid(gid).map_err(|errno| PrivilegesError::Refused("setgid", errno))?;
    setuid(uid).map_err(|errno| PrivilegesError::Refused("setuid", errno))
}

/// Trusts what the system shows, not what the calls returned: capabilities and user namespaces bend their rules.
fn verify(uid: Uid, gid: Gid) -> Result<(), PrivilegesError> {
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(PrivilegesError::Regained("root could be had again"));
    }
    if gid != ROOT_GROUP && setgid(ROOT_GROUP).is_ok() {
        return Err(PrivilegesError::Regained("the group of root could be had again"));
    }
    if (getuid(), geteuid(), getgid(), getegid()) != (uid, uid, gid, gid) {
        return Err(PrivilegesError::Regained("the account is not the one asked for"));
    }
    let groups = getgroups().map_err(|errno| PrivilegesError::Refused("getgroups", errno))?;
    if groups.iter().any(|group| *group != gid) {
        return Err(PrivilegesError::Regained("other groups are left"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_may_be_numbers() {
        let ids = |name: &str| account(name).map(|(uid, gid)| (uid.as_raw(), gid.as_raw()));
        assert_eq!(ids("root"), Ok((0, 0)));
        assert_eq!(ids("0"), Ok((0, 0)));
        assert_eq!(ids("4000000"), Ok((4_000_000, 4_000_000)));
        assert_eq!(ids("4000000:33"), Ok((4_000_000, 33)));
        for name in ["4000000:", "4000000:www-data", "4000000:-1", "no-such-account", "-1"] {
            assert_eq!(ids(name), Err(PrivilegesError::UnknownUser(name.into())), "{name}");
        }
        assert!(ids("nobody").is_ok_and(|(uid, _)| uid != 0));
    }

    #[test]
    fn accounts_that_cannot_be_had_are_refused_before_anything_changes() {
        if !is_privileged() {
            eprintln!("skipped: needs root");
            return;
        }
        let nobody = "no-such-account";
        for outright in [false, true] {
            assert_eq!(drop_privileges(nobody, outright, false), Err(PrivilegesError::UnknownUser(nobody.into())));
        }
        assert_eq!(drop_privileges("root", false, false), Err(PrivilegesError::Root("root".into())));
        assert_eq!(drop_privileges("root", true, false), Ok(Privileges::Kept));
        assert!(is_privileged());
    }
}
