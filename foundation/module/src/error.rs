//! Errors with codes.

use std::any::Any;
use std::error::Error;
use std::fmt;

use serde_json::Value;

use crate::Lang;

/// The codes that the orchestrator and the contract themselves raise; a module's own are in its error type.
pub mod codes {
    /// A required parameter is absent or empty.
    pub const MISSING_PARAMETER: &str = "MISSING_PARAMETER";
    /// A parameter is unknown, repeated, or not of its type.
    pub const INVALID_PARAMETER: &str = "INVALID_PARAMETER";
    /// A client's name is unusable.
    pub const INVALID_CLIENT_NAME: &str = "INVALID_CLIENT_NAME";
    /// The rules or the present state forbid it.
    pub const VALIDATION_ERROR: &str = "VALIDATION_ERROR";
    /// No such module.
    pub const MODULE_NOT_FOUND: &str = "MODULE_NOT_FOUND";
    /// No such action.
    pub const ACTION_NOT_FOUND: &str = "ACTION_NOT_FOUND";
    /// A bug.
    pub const INTERNAL_ERROR: &str = "INTERNAL_ERROR";
}

/// An error with a stable code and a message in both languages.
///
/// `Display` is for logs and may be English only; [`Self::message`] is what a caller is told. The cause is in
/// [`Error::source`] and not in the message.
pub trait ErrorCode: Error + Any + Send + Sync {
    /// One of the codes of `docs/contract.md`, "Error codes". It never changes once released.
    fn code(&self) -> &'static str;
    /// What a caller is told.
    fn message(&self, lang: Lang) -> String;
    /// The facts of the error, as an object.
    fn data(&self) -> Option<Value>;
    /// The same with its sentences in this language, for an error whose facts hold any.
    fn data_in(&self, lang: Lang) -> Option<Value> {
        let _ = lang;
        self.data()
    }
}

/// Any action's error after its type has been forgotten.
pub struct Failure(Box<dyn ErrorCode>);

impl Failure {
    /// Wraps a typed error.
    pub fn new(error: impl ErrorCode) -> Self {
        Self(Box::new(error))
    }
    /// The code.
    pub fn code(&self) -> &'static str {
        self.0.code()
    }
    /// What a caller is told.
    pub fn message(&self, lang: Lang) -> String {
        self.0.message(lang)
    }
    /// The facts.
    pub fn data(&self) -> Option<Value> {
        self.0.data()
    }
    /// The facts with their sentences in this language.
    pub fn data_in(&self, lang: Lang) -> Option<Value> {
        self.0.data_in(lang)
    }
    /// The typed error again, if it is an `E`.
    pub fn downcast_ref<E: ErrorCode>(&self) -> Option<&E> {
        (&*self.0 as &dyn Any).downcast_ref()
    }
    /// The error with all that is known of it, in this language: for standard error.
    pub fn explain(&self, lang: Lang) -> String {
        match lang {
            Lang::En => self.chain(),
            Lang::Tr => self.message(lang),
        }
    }
    /// The error with all its causes, for a log.
    pub fn chain(&self) -> String {
        chain(&*self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.chain())
    }
}

/// An error with all its causes, each once.
pub fn chain(error: &(dyn Error + '_)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
