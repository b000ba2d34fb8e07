//! Local pages: embedded ones, and those of the folder of `web.html`, which win. Knows names and templates, no files, and
//! nothing of the requests that they answer.
//!
//! Pages are a value that is made elsewhere and does not change: a folder that has changed becomes another one. A page with
//! a NUL byte is a picture or the like, and no template.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::template;
use crate::http::answer::AnswerBody;
use crate::http::media;

pub use super::template::{push_escaped, Values};

/// The pages that are always there, by name.
pub const EMBEDDED: [(&str, &str); 8] = [
    ("blocked.html", include_str!("../../conf/html/blocked.html")),
    ("classify.html", include_str!("../../conf/html/classify.html")),
    ("deny.html", include_str!("../../conf/html/deny.html")),
    ("dns.html", include_str!("../../conf/html/dns.html")),
    ("error.html", include_str!("../../conf/html/error.html")),
    ("internal_error.html", include_str!("../../conf/html/internal_error.html")),
    ("noconnect.html", include_str!("../../conf/html/noconnect.html")),
    ("success.html", include_str!("../../conf/html/success.html")),
];

/// A page that was found.
#[derive(Debug, PartialEq, Eq)]
pub enum FoundPage {
    /// All of it, with the values put in.
    Whole {
        /// The page.
        bytes: AnswerBody,
        /// Its media type.
        kind: &'static str,
    },
    /// It is not kept: if there is such a page, it is this file.
    Elsewhere(PathBuf),
}

/// What is known of a file in the folder.
#[derive(Clone, Debug)]
pub enum PageFile {
    /// The page that it holds.
    Kept(KeptPage),
    /// It is too large to be kept.
    Large,
}

/// A page in memory, with what an answer has to know of its bytes: looking through 1 MiB of them takes a millisecond.
#[derive(Clone, Debug)]
pub struct KeptPage {
    bytes: Arc<[u8]>,
    kind: &'static str,
    /// It is text with at least one `%`.
    is_template: bool,
}

impl KeptPage {
    /// The page of that name.
    pub fn new(name: &str, bytes: Arc<[u8]>) -> KeptPage {
        let is_template = memchr::memchr(b'%', &bytes).is_some() && media::is_text(&bytes);
        KeptPage { kind: media::kind(name, &bytes), is_template, bytes }
    }

    fn with(&self, values: &Values<'_>) -> FoundPage {
        let bytes = match self.is_template {
            true => template::fill(&self.bytes, values).into(),
            false => AnswerBody::Shared(Arc::clone(&self.bytes)),
        };
        FoundPage::Whole { bytes, kind: self.kind }
    }
}

/// All pages.
#[derive(Debug, Default)]
pub struct Pages {
    folder: Option<Place>,
    files: BTreeMap<String, PageFile>,
}

/// Where the folder is.
#[derive(Debug)]
struct Place {
    /// As it was configured: absolute names may begin so.
    given: PathBuf,
    /// The same without symbolic links.
    root: PathBuf,
}

/// Pages are made on one thread and used on another.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Pages>();
};

impl Pages {
    /// The pages of a folder, by their names in it: components joined by `/`. `root` is the folder without symbolic links.
    /// The embedded pages are there as well, under the names that `files` does not have.
    pub fn new(given: PathBuf, root: PathBuf, files: BTreeMap<String, PageFile>) -> Pages {
        Pages { folder: Some(Place { given, root }), files }
    }

    /// The page of that name.
    ///
    /// A name may be a path below the folder, or an absolute one inside it; `..` never leads out.
    ///
    /// # Errors
    /// Why there can be no such page.
    pub fn find(&self, name: &str, values: &Values<'_>) -> Result<FoundPage, &'static str> {
        let name = self.normal(name).ok_or("the name leads out of the folder of pages")?;
        let elsewhere = |place: &Place| FoundPage::Elsewhere(place.root.join(&name));
        match (self.files.get(&name), embedded(&name), &self.folder) {
            (Some(PageFile::Kept(page)), ..) => Ok(page.with(values)),
            (None, Some(page), _) => Ok(whole(&name, page, values)),
            (_, _, Some(place)) => Ok(elsewhere(place)),
            (_, _, None) => Err("there is no built-in page of this name"),
        }
    }

    /// The page of that name as its file has it, for one that [`Pages::find`] had nothing of but the file.
    pub(super) fn of_file(&self, name: &str, file: Option<&[u8]>, values: &Values<'_>) -> Option<FoundPage> {
        let name = self.normal(name)?;
        Some(whole(&name, file.or_else(|| embedded(&name))?, values))
    }

    /// The media type of a file of that name which begins so.
    pub(super) fn kind(&self, name: &str, start: &[u8]) -> &'static str {
        media::kind(&self.normal(name).unwrap_or_default(), start)
    }

    /// The normal form of a name: components joined by `/`, without `.` and `..`. None if it leads out of the folder, as an
    /// absolute one does unless it begins with the folder's own.
    fn normal(&self, name: &str) -> Option<String> {
        let path = Path::new(name);
        match &self.folder {
            Some(Place { given, root }) if path.is_absolute() => {
                normal(path.strip_prefix(root).or_else(|_| path.strip_prefix(given)).ok()?)
            }
            _ => normal(path),
        }
    }
}

/// The normal form of a relative path, or None if it leads out.
fn normal(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn embedded(name: &str) -> Option<&'static [u8]> {
    EMBEDDED.iter().find(|(own, _)| *own == name).map(|(_, page)| page.as_bytes())
}

/// A page with the values put in, if it is a template.
fn whole(name: &str, page: &[u8], values: &Values<'_>) -> FoundPage {
    let kind = media::kind(name, page);
    let bytes = if media::is_text(page) { template::fill(page, values) } else { page.to_vec() };
    FoundPage::Whole { bytes: bytes.into(), kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        url: "a.b/\"><script>'",
        host: "<script>",
        client_ip: "192.0.2.1",
        user: "<script>",
        list: "<script>",
        protocol: "http",
        comment: "\"it's\" <script>",
    };

    fn shown(pages: &Pages, name: &str) -> Option<Vec<u8>> {
        match pages.find(name, &VALUES) {
            Ok(FoundPage::Whole { bytes, .. }) => Some(bytes.to_vec()),
            _ => None,
        }
    }

    #[test]
    fn every_embedded_page_is_html_and_escapes_what_it_shows() {
        let pages = Pages::default();
        for (name, _) in EMBEDDED {
            let page = String::from_utf8(shown(&pages, name).unwrap()).unwrap();
            assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{name}");
            assert!(!page.contains("%(") && !page.contains("<script"), "{name}");
            assert!(!page.contains("<b></b>"), "{name}");
        }
    }

    /// Values stand in text, or in an attribute in double quotes; where an address begins with one, it is the scheme.
    #[test]
    fn embedded_templates_show_values_only_where_they_are_escaped_well() {
        for (name, page) in EMBEDDED {
            for (at, _) in page.match_indices("%(") {
                let (before, here) = page.split_at(at);
                let tag = &before[before.rfind('<').unwrap()..];
                if tag.contains('>') {
                    assert!(!tag.starts_with("<style") && !tag.starts_with("<script"), "{name}: {tag}");
                } else {
                    assert_eq!(tag.matches('"').count() % 2, 1, "{name}: {tag} is not in quotes");
                    let begins = tag.ends_with('"') || tag.ends_with("url=");
                    assert!(!begins || here.starts_with("%(protocol)s://"), "{name}: {tag}");
                }
            }
        }
    }

    #[test]
    fn the_refresh_of_classify_cannot_be_left() {
        let page = String::from_utf8(shown(&Pages::default(), "classify.html").unwrap()).unwrap();
        let address = "http://a.b/&quot;&gt;&lt;script&gt;&#39;\"";
        assert!(page.contains(&format!("content=\"2; url={address}")), "{page}");
        assert!(page.contains(&format!("href=\"{address}")), "{page}");
    }

    #[test]
    fn names_stay_inside() {
        let pages = Pages::default();
        for name in ["", "/", "..", "../deny.html", "/etc/passwd", "x/../../deny.html", "deny.html?x", "missing.html"] {
            assert!(shown(&pages, name).is_none(), "{name}");
        }
        for name in ["deny.html", "./deny.html", "x/../deny.html"] {
            assert!(shown(&pages, name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_folder_wins_over_what_is_embedded() {
        let files: [(&str, Option<&[u8]>); 4] = [
            ("deny.html", Some(b"own %(client_ip)s")),
            ("sub/x.css", Some(b"a { width: 100% }")),
            ("x.png", Some(b"%%\0%(host)s")),
            ("success.html", None),
        ];
        let files = files.map(|(name, page)| {
            let kept = page.map(|page| PageFile::Kept(KeptPage::new(name, page.into())));
            (name.to_owned(), kept.unwrap_or(PageFile::Large))
        });
        let pages = Pages::new("/pages".into(), "/mnt/pages".into(), files.into());
        for name in ["deny.html", "/pages/deny.html", "/mnt/pages/sub/../deny.html", "./deny.html"] {
            assert_eq!(shown(&pages, name).unwrap(), b"own 192.0.2.1", "{name}");
        }
        assert!(matches!(
            pages.find("sub/x.css", &VALUES),
            Ok(FoundPage::Whole { kind: "text/css; charset=utf-8", .. })
        ));
        assert_eq!(shown(&pages, "x.png").unwrap(), b"%%\0%(host)s");
        assert!(shown(&pages, "dns.html").unwrap().starts_with(b"<!doctype"));
        for (name, path) in [("success.html", "/mnt/pages/success.html"), ("x/../a/./b", "/mnt/pages/a/b")] {
            assert_eq!(pages.find(name, &VALUES), Ok(FoundPage::Elsewhere(path.into())), "{name}");
        }
        for name in ["../a", "/etc/passwd", "a/../../b"] {
            assert_eq!(pages.find(name, &VALUES), Err("the name leads out of the folder of pages"), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_not_kept_is_a_page_like_others() {
        let pages = Pages::new("/pages".into(), "/pages".into(), BTreeMap::new());
        let of_file = |name: &str, file: Option<&[u8]>| match pages.of_file(name, file, &VALUES) {
            Some(FoundPage::Whole { bytes, kind }) => Some((String::from_utf8(bytes.to_vec()).unwrap(), kind)),
            _ => None,
        };
        assert_eq!(of_file("deep/x.js", Some(b"// %(client_ip)s")).unwrap(), ("// 192.0.2.1".into(), media::SCRIPT));
        assert!(of_file("deny.html", None).unwrap().0.starts_with("<!doctype"), "the file is gone meanwhile");
        assert_eq!(of_file("x.html", None), None);
        assert_eq!(pages.kind("a/x.js", b"plain"), media::SCRIPT);
    }
}
