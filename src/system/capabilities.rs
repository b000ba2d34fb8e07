//! The one capability that a process without the rights of root keeps where it has to use addresses that are not its machine's
//! (IP_TRANSPARENT): CAP_NET_RAW, or CAP_NET_ADMIN where it was given that alone. Programs that it starts never get it, but
//! for its next version.

use std::fmt;

/// Why foreign addresses cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CapabilityError {
    /// The process was given neither.
    Missing,
    /// The system refused a step.
    Refused(&'static str, String),
}

impl fmt::Display for CapabilityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CapabilityError::Missing => out.write_str(
                "the process has not the capability CAP_NET_RAW: start it as root, or with \
                 AmbientCapabilities=CAP_NET_RAW and CapabilityBoundingSet=CAP_NET_RAW of systemd",
            ),
            CapabilityError::Refused(step, error) => {
                write!(out, "could not keep the capability CAP_NET_RAW for this process alone, {step}: {error}")
            }
        }
    }
}

impl std::error::Error for CapabilityError {}

#[cfg(target_os = "linux")]
mod system {
    use super::CapabilityError;
    use caps::errors::CapsError;
    use caps::{CapSet, Capability, CapsHashSet};

    /// Either will do for IP_TRANSPARENT (ip(7)); the narrower first.
    const EITHER: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

    type Outcome = Result<(), CapabilityError>;

    fn step(name: &'static str, outcome: Result<(), CapsError>) -> Outcome {
        outcome.map_err(|error| CapabilityError::Refused(name, error.to_string()))
    }

    fn held() -> Option<Capability> {
        EITHER.into_iter().find(|one| caps::has_cap(None, CapSet::Permitted, *one).unwrap_or(false))
    }

    /// Whether the process may use foreign addresses.
    ///
    /// # Errors
    /// [`CapabilityError::Missing`].
    pub fn require() -> Outcome {
        held().map(|_| ()).ok_or(CapabilityError::Missing)
    }

    /// Sees that programs get neither of the two that were given from outside (capabilities(7): what has no place in the ambient
    /// and the inheritable set does not survive an execve), and gives up what is not `wanted` of them.
    ///
    /// # Errors
    /// One is wanted and none was given, or the system refuses.
    pub fn confine(wanted: bool) -> Outcome {
        let kept = if wanted { Some(held().ok_or(CapabilityError::Missing)?) } else { None };
        if let Some(one) = kept {
            step("effective", caps::raise(None, CapSet::Effective, one))?;
        }
        for one in EITHER {
            lose(one, CapSet::Ambient, "ambient")?;
            lose(one, CapSet::Inheritable, "inheritable")?;
            if kept != Some(one) {
                lose(one, CapSet::Effective, "effective")?;
                lose(one, CapSet::Permitted, "permitted")?;
            }
        }
        Ok(())
    }

    /// Has a program that this thread executes, or starts, have the one too, or not any more: the next version of this one, which
    /// confines it again (capabilities(7): the ambient set survives an execve).
    ///
    /// # Errors
    /// The system refuses. Without the capability there is nothing to do.
    pub fn hand_on(on: bool) -> Outcome {
        let Some(one) = held() else { return Ok(()) };
        if !on {
            lose(one, CapSet::Ambient, "ambient")?;
            return lose(one, CapSet::Inheritable, "inheritable");
        }
        step("inheritable", caps::raise(None, CapSet::Inheritable, one))?;
        step("ambient", caps::raise(None, CapSet::Ambient, one))
    }

    /// Systems before 4.3 have no ambient set, and what is not in a set need not be taken out.
    fn lose(one: Capability, set: CapSet, name: &'static str) -> Outcome {
        match caps::has_cap(None, set, one).unwrap_or(false) {
            true => step(name, caps::drop(None, set, one)),
            false => Ok(()),
        }
    }

    /// Has the capabilities of root survive the change to another account, until [`keep_one`] gives all but one up.
    ///
    /// # Errors
    /// There is none to keep, or the system refuses.
    pub fn hold() -> Outcome {
        require()?;
        step("PR_SET_KEEPCAPS", caps::securebits::set_keepcaps(true))
    }

    /// Gives up all but the one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn keep_one() -> Outcome {
        let one = CapsHashSet::from([held().ok_or(CapabilityError::Missing)?]);
        step("inheritable", caps::clear(None, CapSet::Inheritable))?;
        step("effective", caps::set(None, CapSet::Effective, &one))?;
        step("permitted", caps::set(None, CapSet::Permitted, &one))?;
        step("PR_SET_KEEPCAPS", caps::securebits::set_keepcaps(false))
    }
}

/// Other systems have no such thing.
#[cfg(not(target_os = "linux"))]
#[allow(missing_docs, clippy::missing_errors_doc)]
mod system {
    use super::CapabilityError;

    type Outcome = Result<(), CapabilityError>;

    pub fn require() -> Outcome {
        Err(CapabilityError::Refused("of this system", "foreign addresses need Linux".to_owned()))
    }

    pub fn confine(wanted: bool) -> Outcome {
        if wanted {
            require()
        } else {
            Ok(())
        }
    }

    pub fn hand_on(_on: bool) -> Outcome {
        Ok(())
    }

    pub fn hold() -> Outcome {
        require()
    }

    pub fn keep_one() -> Outcome {
        require()
    }
}

pub use system::{confine, hand_on, hold, keep_one, require};
