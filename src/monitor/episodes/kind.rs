//! The kinds of trouble that lasts: how each is called, what the log says when it is over, and when that is.

use reactor::Millis;

/// Milliseconds without a sign until most kinds are over, so that what comes and goes is one episode.
pub(super) const CALM: Millis = 5_000;

/// What an episode is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpisodeKind {
    /// Questions fail, and no name server has answered any for a while.
    NameServersSilent,
    /// Too large a share of the requests fails (`web.alarm-errors`).
    RequestsFail,
    /// Helpers write what cannot be read.
    HelpersUnreadable,
    /// Helpers do not reply.
    HelpersHang,
    /// Helpers end as soon as they are started.
    HelpersEnd,
    /// No helper runs.
    HelpersMissing,
    /// More requests wait for helpers than there are helpers.
    HelpersBusy,
    /// The last reload has failed.
    ReloadRefused,
    /// Fewer clients can be taken than the configuration says, for want of descriptors.
    LimitsLowered,
    /// All places for clients are taken.
    LimitReached,
    /// Other proxies, through which requests are sent, cannot be reached.
    ParentsDown,
    /// Lists could not be read again.
    ListsOutdated,
    /// A file of users could not be read again.
    UsersOutdated,
    /// Passwords wait to be checked.
    PasswordsWait,
    /// Log lines were lost.
    LinesLost,
    /// Connections cannot be accepted, for want of descriptors or memory.
    AcceptingPaused,
    /// All buffers are lent.
    BuffersUsedUp,
    /// A loop does not turn any more.
    LoopHangs,
}

impl EpisodeKind {
    /// All kinds, in the order of their places.
    pub const ALL: [EpisodeKind; 18] = [
        EpisodeKind::NameServersSilent,
        EpisodeKind::RequestsFail,
        EpisodeKind::HelpersUnreadable,
        EpisodeKind::HelpersHang,
        EpisodeKind::HelpersEnd,
        EpisodeKind::HelpersMissing,
        EpisodeKind::HelpersBusy,
        EpisodeKind::ReloadRefused,
        EpisodeKind::LimitsLowered,
        EpisodeKind::LimitReached,
        EpisodeKind::ParentsDown,
        EpisodeKind::ListsOutdated,
        EpisodeKind::UsersOutdated,
        EpisodeKind::PasswordsWait,
        EpisodeKind::LinesLost,
        EpisodeKind::AcceptingPaused,
        EpisodeKind::BuffersUsedUp,
        EpisodeKind::LoopHangs,
    ];

    /// The word for it in metrics, JSON and `/health?strict`.
    pub fn word(self) -> &'static str {
        self.texts().0
    }

    /// Its word, what the log says when it is over, and what it hits.
    pub(super) fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            EpisodeKind::NameServersSilent => ("name_servers_silent", "name servers answer again", "questions failed"),
            EpisodeKind::RequestsFail => ("requests_fail", "requests no longer fail", "requests failed"),
            EpisodeKind::HelpersUnreadable => {
                ("helpers_unreadable", "replies of helpers can be read again", "replies could not be read")
            }
            EpisodeKind::HelpersHang => ("helpers_hang", "helpers reply again", "helpers were killed"),
            EpisodeKind::HelpersEnd => ("helpers_end", "helpers no longer end as soon as they are started", ""),
            EpisodeKind::HelpersMissing => ("helpers_missing", "helpers run again", ""),
            EpisodeKind::HelpersBusy => ("helpers_busy", "there are helpers enough again", ""),
            EpisodeKind::ReloadRefused => ("reload_refused", "the configuration on disk is in force", ""),
            EpisodeKind::LimitsLowered => {
                ("limits_lowered", "the limits of clients are those of the configuration", "")
            }
            EpisodeKind::LimitReached => ("limit_reached", "there is room for clients again", ""),
            EpisodeKind::ParentsDown => ("parents_down", "parents can be reached again", ""),
            EpisodeKind::ListsOutdated => ("lists_outdated", "the lists on disk are in force", ""),
            EpisodeKind::UsersOutdated => ("users_outdated", "the users on disk are in force", ""),
            EpisodeKind::PasswordsWait => ("passwords_wait", "passwords are checked at once again", ""),
            EpisodeKind::LinesLost => ("lines_lost", "logs take all lines again", "lines were lost"),
            EpisodeKind::AcceptingPaused => ("accepting_paused", "connections are accepted again", ""),
            EpisodeKind::BuffersUsedUp => ("buffers_used_up", "there are buffers again", ""),
            EpisodeKind::LoopHangs => ("loop_hangs", "all loops turn again", ""),
        }
    }

    /// For how long nothing must be seen of it until it is over. What is a state ends with it.
    pub(super) fn calm(self) -> Millis {
        match self {
            EpisodeKind::ReloadRefused | EpisodeKind::LimitsLowered | EpisodeKind::LoopHangs => 0,
            EpisodeKind::ListsOutdated | EpisodeKind::UsersOutdated | EpisodeKind::NameServersSilent => 0,
            _ => CALM,
        }
    }

    /// Whether the log is told of its beginning here. Of the others it was told why, where they began.
    pub(super) fn is_told(self) -> bool {
        let elsewhere = matches!(self, EpisodeKind::ReloadRefused | EpisodeKind::LimitsLowered);
        let loaded = matches!(self, EpisodeKind::ListsOutdated | EpisodeKind::UsersOutdated);
        !elsewhere
            && !loaded
            && !matches!(self, EpisodeKind::HelpersBusy | EpisodeKind::AcceptingPaused | EpisodeKind::LoopHangs)
    }
}
