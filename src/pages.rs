//! Local pages: embedded, or from the folder of `web.html`.
