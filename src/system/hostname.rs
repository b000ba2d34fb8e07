//! The name of this machine. Asks no name server.

/// The name that the system has for this machine, and its first label where there are more, in lower case.
pub fn names() -> Vec<String> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut names = vec![name.split('.').next().unwrap_or_default().to_owned(), name];
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}
