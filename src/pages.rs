//! Local pages: embedded ones, and those of the folder of `web.html`, which win. Knows names, templates and files, and
//! nothing of HTTP.
//!
//! A template may hold `%(name)s` for the names of [`Values`], and `%%` for `%`; any other `%` stands for itself, so that a
//! page can say `width: 100%`. Values come from the network and are escaped for HTML. A file with a NUL byte is a picture or
//! the like, and no template.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// Largest page read from a folder, in bytes. An answer is kept in memory until the client has taken it.
pub const MAX_PAGE: u64 = 1 << 20;

/// Most pages read from a folder.
pub const MAX_PAGES: usize = 1000;

/// All pages of a folder together, in bytes, as they stay in memory.
pub const MAX_TOTAL: usize = 32 << 20;

/// How deep the folder is searched.
const MAX_DEPTH: usize = 4;

/// The pages that are always there, by name.
const EMBEDDED: [(&str, &str); 7] = [
    ("classify.html", include_str!("../conf/html/classify.html")),
    ("deny.html", include_str!("../conf/html/deny.html")),
    ("dns.html", include_str!("../conf/html/dns.html")),
    ("error.html", include_str!("../conf/html/error.html")),
    ("internal_error.html", include_str!("../conf/html/internal_error.html")),
    ("noconnect.html", include_str!("../conf/html/noconnect.html")),
    ("success.html", include_str!("../conf/html/success.html")),
];

/// What a template may show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values<'a> {
    /// `host[:port]/path` of the request.
    pub url: &'a str,
    /// The host of the request.
    pub host: &'a str,
    /// The client's address.
    pub client_ip: &'a str,
    /// The scheme of the request.
    pub protocol: &'a str,
    /// What there is to say besides.
    pub comment: &'a str,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "url" => Some(self.url),
            "host" => Some(self.host),
            "client_ip" => Some(self.client_ip),
            "protocol" => Some(self.protocol),
            "comment" => Some(self.comment),
            _ => None,
        }
    }
}

/// All pages, in memory.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    folder: Option<PathBuf>,
    files: BTreeMap<String, Vec<u8>>,
    total: usize,
}

impl Pages {
    /// Reads the pages of a folder and of the folders in it. The embedded pages are there as well, under the names that the
    /// folder does not have.
    ///
    /// Files that are larger than [`MAX_PAGE`] are left out, and so are those beyond [`MAX_PAGES`] and [`MAX_TOTAL`]. The
    /// error tells which file or folder could not be read.
    pub fn load(folder: Option<PathBuf>) -> io::Result<Pages> {
        let Some(folder) = folder else { return Ok(Pages::default()) };
        let folder = folder.canonicalize().map_err(|error| about(&folder, error))?;
        let mut pages = Pages::default();
        pages.read_folder(&folder, "", 0)?;
        pages.folder = Some(folder);
        Ok(pages)
    }

    /// The page of that name with the values put in, or `None` if there is no such page.
    ///
    /// A name may be a path below the folder, or an absolute one inside it; `..` never leads out.
    pub fn render(&self, name: &str, values: &Values<'_>) -> Option<Vec<u8>> {
        let page = self.page(name)?;
        match memchr::memchr(0, page) {
            Some(_) => Some(page.to_vec()),
            None => Some(fill(page, values)),
        }
    }

    fn page(&self, name: &str) -> Option<&[u8]> {
        let name = self.relative(name)?;
        let embedded = || EMBEDDED.iter().find(|(own, _)| *own == name).map(|(_, page)| page.as_bytes());
        self.files.get(&name).map(Vec::as_slice).or_else(embedded)
    }

    /// The name as it is kept: components joined by `/`, without `.` and `..`.
    fn relative(&self, name: &str) -> Option<String> {
        let path = Path::new(name);
        let path = match (path.is_absolute(), &self.folder) {
            (false, _) => path,
            (true, Some(folder)) => path.strip_prefix(folder).ok()?,
            (true, None) => return None,
        };
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

    fn read_folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        for entry in folder.read_dir().map_err(|error| about(folder, error))? {
            let entry = entry.map_err(|error| about(folder, error))?;
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().filter(|_| self.files.len() < MAX_PAGES) else { continue };
            let (path, name) = (entry.path(), format!("{prefix}{name}"));
            let metadata = path.metadata().map_err(|error| about(&path, error))?;
            if metadata.is_dir() && depth < MAX_DEPTH {
                self.read_folder(&path, &format!("{name}/"), depth + 1)?;
            } else if metadata.is_file() {
                self.read_file(&path, name)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path, name: String) -> io::Result<()> {
        let mut page = Vec::new();
        let file = File::open(path).map_err(|error| about(path, error))?;
        file.take(MAX_PAGE + 1).read_to_end(&mut page).map_err(|error| about(path, error))?;
        if page.len() as u64 <= MAX_PAGE && self.total + page.len() <= MAX_TOTAL {
            self.total += page.len();
            self.files.insert(name, page);
        }
        Ok(())
    }
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn fill(template: &[u8], values: &Values<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len() + 128);
    let mut rest = template;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let [b'%', after @ ..] = rest {
            out.push(b'%');
            rest = after;
        } else if let Some((value, after)) = variable(rest, values) {
            push_escaped(&mut out, value);
            rest = after;
        } else {
            out.push(b'%');
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The value of `(name)s`, if the text starts so with a known name, and what follows.
fn variable<'t, 'v>(text: &'t [u8], values: &'v Values<'_>) -> Option<(&'v str, &'t [u8])> {
    /// Longest name, in bytes; bounds the search for the bracket.
    const MAX_VARIABLE: usize = 16;
    let text = text.strip_prefix(b"(")?;
    let end = text.iter().take(MAX_VARIABLE).position(|byte| *byte == b')')?;
    let after = text.get(end + 1..)?.strip_prefix(b"s")?;
    Some((values.get(std::str::from_utf8(&text[..end]).ok()?)?, after))
}

/// Appends text so that it is text in an element and in a quoted attribute, and so that it stays printable.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            control if control.is_control() => out.push(b' '),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        url: "a.b/<script>",
        host: "a.b",
        client_ip: "192.0.2.1",
        protocol: "http",
        comment: "\"it's\" & more\u{7}",
    };

    fn filled(template: &str) -> String {
        String::from_utf8(fill(template.as_bytes(), &VALUES)).unwrap()
    }

    #[test]
    fn known_names_are_replaced_and_escaped() {
        let table = [
            ("%(host)s!", "a.b!"),
            ("%(url)s", "a.b/&lt;script&gt;"),
            ("%(comment)s", "&quot;it&#39;s&quot; &amp; more "),
            ("%(protocol)s://%(client_ip)s", "http://192.0.2.1"),
            ("100%", "100%"),
            ("width: 100%;", "width: 100%;"),
            ("%%(host)s", "%(host)s"),
            ("%%%%", "%%"),
            ("%(unknown)s %(host)d %(host s", "%(unknown)s %(host)d %(host s"),
            ("%(host)", "%(host)"),
            ("%(%(host)s", "%(a.b"),
            ("", ""),
        ];
        for (template, want) in table {
            assert_eq!(filled(template), want, "{template}");
        }
    }

    #[test]
    fn every_embedded_page_is_html_and_leaves_no_variable() {
        let pages = Pages::load(None).unwrap();
        for (name, _) in EMBEDDED {
            let page = String::from_utf8(pages.render(name, &VALUES).unwrap()).unwrap();
            assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"), "{name}");
            assert!(!page.contains("%("), "{name}");
            assert!(!page.contains("<script"), "{name}");
        }
    }

    #[test]
    fn names_stay_inside() {
        let pages = Pages::load(None).unwrap();
        for name in ["", "/", "..", "../deny.html", "/etc/passwd", "x/../../deny.html", "deny.html?x", "missing.html"] {
            assert!(pages.render(name, &VALUES).is_none(), "{name}");
        }
        for name in ["deny.html", "./deny.html", "x/../deny.html"] {
            assert!(pages.render(name, &VALUES).is_some(), "{name}");
        }
    }

    #[test]
    fn a_folder_wins_over_what_is_embedded() {
        let folder = std::env::temp_dir().join(format!("exaproxy-pages-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("deny.html"), "own %(host)s").unwrap();
        std::fs::write(folder.join("sub/x.html"), "deeper").unwrap();
        std::fs::write(folder.join("x.png"), b"%%\0%(host)s").unwrap();
        std::fs::write(folder.join("large.html"), vec![b'x'; MAX_PAGE as usize + 1]).unwrap();
        let pages = Pages::load(Some(folder.clone())).unwrap();
        let inside = folder.canonicalize().unwrap().join("deny.html");
        assert_eq!(pages.render("deny.html", &VALUES).unwrap(), b"own a.b");
        assert_eq!(pages.render(inside.to_str().unwrap(), &VALUES).unwrap(), b"own a.b");
        assert_eq!(pages.render("sub/x.html", &VALUES).unwrap(), b"deeper");
        assert_eq!(pages.render("x.png", &VALUES).unwrap(), b"%%\0%(host)s");
        assert!(pages.render("dns.html", &VALUES).unwrap().starts_with(b"<!doctype"));
        assert!(pages.render("large.html", &VALUES).is_none());
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(Pages::load(Some(folder)).is_err());
    }
}
