//! Chromium driven over its DevTools protocol: messages in JSON, a NUL behind each, over two pipes. Knows no page.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{channel, Receiver};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::programs::{command, find};

/// Longest wait for an answer of the browser.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
    session: Option<String>,
    events: Vec<Value>,
    profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the browser says of a page that has made room for the next one.
const GONE: [&str; 3] = ["target navigated or closed", "context was destroyed", "Cannot find context"];

impl Browser {
    /// Starts it with an empty page of this size, whose events are recorded from now on.
    pub(crate) fn start(width: u32, height: u32) -> Browser {
        Browser::launch(width, height, &["--no-proxy-server"])
    }

    /// The same, with a proxy for all that it asks for, by its URL.
    pub(crate) fn behind(proxy: &str, width: u32, height: u32) -> Browser {
        let server = format!("--proxy-server={proxy}");
        Browser::launch(width, height, &[&server, "--proxy-bypass-list=<-loopback>"])
    }

    fn launch(width: u32, height: u32, network: &[&str]) -> Browser {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let program = find("chromium").expect("chromium was there a moment ago");
        // The protocol wants descriptors 3 and 4, which are our ends of its standard input and output.
        let mut child = command("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(crate::chromium::QUIET.iter().filter(|word| !word.starts_with("--remote-debugging")))
            .arg("--remote-debugging-pipe")
            .args(network)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromium runs");
        let commands = child.stdin.take().expect("its input");
        let output = child.stdout.take().expect("its output");
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON from the browser");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser = Browser { child, commands, messages, next: 0, session: None, events: Vec::new(), profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(width, height, false);
        browser
    }

    /// Gives a command and waits for its result.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser takes commands");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.messages.recv_timeout(deadline - Instant::now());
            let mut answer = answer.unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
            if answer["id"] == self.next {
                // A page that goes away while it is asked has nothing to say, and the next one is asked again.
                let error = answer["error"]["message"].as_str().unwrap_or_default();
                let is_gone = method == "Runtime.evaluate" && GONE.iter().any(|gone| error.contains(gone));
                assert!(is_gone || answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.events.push(answer);
        }
    }

    /// Sets the size of the window in pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32, phone: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Has every page run this before its own scripts.
    pub(crate) fn prepare(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    /// Goes to an address and waits until it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate("document.readyState") != "complete" || self.evaluate("location.href") != url {
            assert!(Instant::now() < deadline, "{url} is not loaded");
        }
    }

    /// Loads the page anew, as its button does, or with the key that has caches passed over, and waits until it is loaded.
    pub(crate) fn reload(&mut self, past_caches: bool) {
        self.evaluate("window.isOld = true");
        self.call("Page.reload", json!({ "ignoreCache": past_caches }));
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate("!window.isOld && document.readyState") != "complete" {
            assert!(Instant::now() < deadline, "it is not loaded anew");
        }
    }

    /// The value of an expression on the page; null between two pages.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Presses and releases a key.
    pub(crate) fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes what the window shows as a PNG.
    pub(crate) fn shoot(&mut self, path: &std::path::Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let file = self.profile.path().join("shot");
        std::fs::write(&file, shot["data"].as_str().expect("a picture")).expect("a file");
        let output = command("base64").arg("-d").arg(&file).output().expect("base64 runs");
        assert!(output.status.success(), "{output:?}");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of pictures");
        std::fs::write(path, output.stdout).expect("the picture");
    }

    /// What the page asked the network for since the start.
    pub(crate) fn requested(&self) -> Vec<String> {
        let urls = self.events_named("Network.requestWillBeSent");
        urls.filter_map(|event| event["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// What went wrong on the page since the start: messages of the console, exceptions, violated policies, dialogs.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let kinds =
            ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Page.javascriptDialogOpening"];
        kinds.iter().flat_map(|kind| self.events_named(kind)).map(Value::to_string).collect()
    }

    fn events_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |event| event["method"] == name).map(|event| &event["params"])
    }
}
