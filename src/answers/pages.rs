//! Local pages: embedded ones, and those of the folder of `web.html`, which win. Knows names, templates and files, and
//! nothing of the requests that they answer.
//!
//! A file with a NUL byte is a picture or the like, and a file that is too large to be kept is sent as it stands: neither is
//! a template.

use std::io;
use std::path::{Path, PathBuf};

use super::folder::{self, Folder, Sight};
use super::template;
use crate::http::media;
use crate::io::content::Content;

pub use super::template::{push_escaped, Values};

/// The pages that are always there, by name.
const EMBEDDED: [(&str, &str); 7] = [
    ("classify.html", include_str!("../../conf/html/classify.html")),
    ("deny.html", include_str!("../../conf/html/deny.html")),
    ("dns.html", include_str!("../../conf/html/dns.html")),
    ("error.html", include_str!("../../conf/html/error.html")),
    ("internal_error.html", include_str!("../../conf/html/internal_error.html")),
    ("noconnect.html", include_str!("../../conf/html/noconnect.html")),
    ("success.html", include_str!("../../conf/html/success.html")),
];

/// A page that was found.
#[derive(Debug)]
pub enum FoundPage {
    /// All of it, with the values put in.
    Whole {
        /// The page.
        bytes: Vec<u8>,
        /// Its media type.
        kind: &'static str,
    },
    /// A file to send in pieces.
    Large {
        /// The file.
        content: Content,
        /// Bytes of it that are to be sent.
        length: u64,
        /// Its media type.
        kind: &'static str,
    },
}

/// All pages.
#[derive(Debug, Default)]
pub struct Pages {
    folder: Option<Folder>,
}

impl Pages {
    /// Reads the pages of a folder and of the folders in it: at most 1 MiB each and 32 MiB together. The embedded pages are
    /// there as well, under the names that the folder does not have.
    ///
    /// # Errors
    /// When a folder or a file in it cannot be read; the text names it.
    pub fn load(folder: Option<PathBuf>) -> io::Result<Pages> {
        Ok(Pages { folder: folder.map(Folder::load).transpose()? })
    }

    /// The page of that name, as the folder has it now.
    ///
    /// A name may be a path below the folder, or an absolute one inside it; `..` never leads out.
    ///
    /// # Errors
    /// When there is no such page; the text says where it was looked for.
    pub fn find(&self, name: &str, values: &Values<'_>) -> io::Result<FoundPage> {
        let outside = || io::Error::new(io::ErrorKind::NotFound, "the name leads out of the folder of pages");
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no built-in page of this name");
        let (name, sight) = match &self.folder {
            Some(folder) => {
                let name = folder.relative(name).ok_or_else(outside)?;
                let sight = folder.look(&name);
                (name, sight)
            }
            None => (folder::normal(Path::new(name)).ok_or_else(outside)?, Err(missing())),
        };
        match (sight, embedded(&name)) {
            (Ok(Sight::Whole(page)), _) => Ok(whole(&name, &page, values)),
            (Ok(Sight::Large { content, length, start }), _) => {
                Ok(FoundPage::Large { content, length, kind: media::kind(&name, &start) })
            }
            (Err(_), Some(page)) => Ok(whole(&name, page, values)),
            (Err(error), None) => Err(error),
        }
    }
}

fn embedded(name: &str) -> Option<&'static [u8]> {
    EMBEDDED.iter().find(|(own, _)| *own == name).map(|(_, page)| page.as_bytes())
}

fn whole(name: &str, page: &[u8], values: &Values<'_>) -> FoundPage {
    let kind = media::kind(name, page);
    let bytes = if media::is_text(page) { template::fill(page, values) } else { page.to_vec() };
    FoundPage::Whole { bytes, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        url: "a.b/\"><script>'",
        host: "<script>",
        client_ip: "192.0.2.1",
        protocol: "http",
        comment: "\"it's\" <script>",
    };

    fn shown(pages: &Pages, name: &str) -> Option<Vec<u8>> {
        match pages.find(name, &VALUES) {
            Ok(FoundPage::Whole { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    #[test]
    fn every_embedded_page_is_html_and_escapes_what_it_shows() {
        let pages = Pages::load(None).unwrap();
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
        let pages = Pages::load(None).unwrap();
        for name in ["", "/", "..", "../deny.html", "/etc/passwd", "x/../../deny.html", "deny.html?x", "missing.html"] {
            assert!(shown(&pages, name).is_none(), "{name}");
        }
        for name in ["deny.html", "./deny.html", "x/../deny.html"] {
            assert!(shown(&pages, name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_folder_wins_over_what_is_embedded() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("sub")).unwrap();
        std::fs::write(place("deny.html"), "own %(client_ip)s").unwrap();
        std::fs::write(place("sub/x.css"), "a { width: 100% }").unwrap();
        std::fs::write(place("x.png"), b"%%\0%(host)s").unwrap();
        std::fs::write(place("large.js"), vec![b'%'; folder::MAX_PAGE as usize + 1]).unwrap();
        let pages = Pages::load(Some(folder.path().to_owned())).unwrap();
        assert_eq!(shown(&pages, "deny.html").unwrap(), b"own 192.0.2.1");
        assert_eq!(shown(&pages, place("deny.html").to_str().unwrap()).unwrap(), b"own 192.0.2.1");
        assert!(matches!(
            pages.find("sub/x.css", &VALUES),
            Ok(FoundPage::Whole { kind: "text/css; charset=utf-8", .. })
        ));
        assert_eq!(shown(&pages, "x.png").unwrap(), b"%%\0%(host)s");
        assert!(shown(&pages, "dns.html").unwrap().starts_with(b"<!doctype"));
        let large = folder::MAX_PAGE + 1;
        let found = pages.find("large.js", &VALUES);
        assert!(
            matches!(found, Ok(FoundPage::Large { length, kind: media::SCRIPT, .. }) if length == large),
            "{found:?}"
        );
        std::fs::write(place("deny.html"), "edited").unwrap();
        assert_eq!(shown(&pages, "deny.html").unwrap(), b"edited");
        std::fs::remove_file(place("deny.html")).unwrap();
        assert!(shown(&pages, "deny.html").unwrap().starts_with(b"<!doctype"));
        assert!(pages.find("no.html", &VALUES).unwrap_err().to_string().contains("no.html: No such file"));
        drop(folder);
        assert!(Pages::load(Some("/no/such/folder".into())).is_err());
    }
}
