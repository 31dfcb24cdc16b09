//! What a call of the command gave.

use serde_json::Value;

/// Exit status and both streams of one call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Exit status.
    pub exit: u8,
    /// Standard output.
    pub out: String,
    /// Standard error, and behind it the notes of the call.
    pub err: String,
}

impl Answer {
    /// Standard output as JSON: one object and a line feed, and nothing else.
    pub fn json(&self) -> Value {
        assert!(self.out.ends_with('\n'), "no line feed at the end: {self:?}");
        let value: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object(), "no object: {self:?}");
        let success = value["success"].as_bool().unwrap_or_else(|| panic!("no 'success': {self:?}"));
        assert_eq!(self.exit, u8::from(!success), "exit status against 'success': {self:?}");
        value
    }
    /// The `data` of a call that succeeded.
    #[track_caller]
    pub fn ok(&self) -> Value {
        let mut value = self.json();
        assert_eq!(value["success"], true, "{}{}", self.out, self.err);
        value["data"].take()
    }
    /// The whole answer of a call that failed with this code.
    #[track_caller]
    pub fn failed(&self, code: &str) -> Value {
        let value = self.json();
        assert_eq!(
            (&value["success"], &value["code"]),
            (&false.into(), &code.into()),
            "{}{}",
            self.out,
            self.err
        );
        value
    }
    /// Whether the call succeeded.
    pub fn success(&self) -> bool {
        self.exit == 0
    }
    /// The code of a call that failed, nothing of one that succeeded.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
    /// Standard output of a call that was asked for a text.
    #[track_caller]
    pub fn text(&self) -> &str {
        assert_eq!((self.exit, self.err.as_str()), (0, ""), "{}", self.out);
        assert!(!self.out.is_empty());
        &self.out
    }
}
