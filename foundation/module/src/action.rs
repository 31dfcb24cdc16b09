//! Actions, their tables, and modules.

use std::any::Any;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Answer, ErrorCode, Failure, Lang, ParamError, Params, Text, codes, parameters, read};

/// What the caller says about one call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Language of every sentence in the answer.
    pub lang: Lang,
    /// Told what the answer does not say: a recovery, a corrected mode. The command prints it on standard error.
    pub note: fn(&str),
}

impl Call {
    /// A call in this language that keeps its notes to itself.
    pub fn new(lang: Lang) -> Self {
        Self { lang, note: |_| () }
    }
}

/// What an action does to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads: no lock, nothing changed.
    Read,
    /// It changes something, under the lock.
    Change,
    /// It changes something that a person should confirm first: what is lost cannot be had back.
    Destroy,
}

/// One request. Its fields are the parameters; `#[serde(deny_unknown_fields)]` belongs on every one. It is written as it is
/// read: a typed call is checked by the same declaration as a call by name.
pub trait Action: Serialize + DeserializeOwned + JsonSchema + Sized + 'static {
    /// Whose action it is.
    type Module: 'static;
    /// The answer.
    type Output: Serialize + JsonSchema + Send + 'static;
    /// What can go wrong, a parameter beyond its limits included. [`ParamError`] itself where nothing else can.
    type Error: ErrorCode + From<ParamError>;
    /// Name on the wire: `^[a-z][a-z0-9_]*$`.
    const NAME: &'static str;
    /// One line of help.
    const SUMMARY: Text;
    /// What it does to the system.
    const EFFECT: Effect;
    /// Parameters of an example call, as typed after the action's name; empty for none.
    const EXAMPLE: &'static str;
    /// The codes it can raise beside those common to all actions.
    const ERRORS: &'static [&'static str];
    /// Whether it needs a system that has been set up.
    const NEEDS_SETUP: bool = true;
    /// Does it.
    fn run(self, module: &Self::Module, call: &Call) -> Result<Self::Output, Self::Error>;
}

/// What is known of an action without running it.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Name on the wire.
    pub name: &'static str,
    /// One line of help.
    pub summary: Text,
    /// What it does to the system.
    pub effect: Effect,
    /// Parameters of an example call.
    pub example: &'static str,
    /// The codes it can raise beside the common ones.
    pub errors: &'static [&'static str],
    /// Whether it needs a system that has been set up.
    pub needs_setup: bool,
    /// Schema of the parameters; see [`parameters`] for a form that is easier to read.
    pub params: fn() -> Schema,
    /// Schema of the answer.
    pub output: fn() -> Schema,
}

/// A row of a module's table of actions.
pub struct Entry<M: 'static> {
    /// What is known of the action.
    pub spec: Spec,
    run: fn(&M, &Spec, Params, &Call) -> Result<Answer, Failure>,
}

/// The row of an action.
pub const fn entry<A: Action>() -> Entry<A::Module> {
    Entry {
        spec: Spec {
            name: A::NAME,
            summary: A::SUMMARY,
            effect: A::EFFECT,
            example: A::EXAMPLE,
            errors: A::ERRORS,
            needs_setup: A::NEEDS_SETUP,
            params: schema::<A>,
            output: schema::<A::Output>,
        },
        run: run_erased::<A>,
    }
}

fn schema<T: JsonSchema>() -> Schema {
    schema_for!(T)
}

fn run_erased<A: Action>(
    module: &A::Module,
    spec: &Spec,
    params: Params,
    call: &Call,
) -> Result<Answer, Failure> {
    let typed = read(&parameters(spec), params).map_err(Failure::new)?;
    let action: A = serde_json::from_value(Value::Object(typed)).map_err(|error| {
        // What the declared kinds let through and the type refuses: a rule that only the type knows.
        Failure::new(ParamError::Other { detail: error.to_string() })
    })?;
    action.run(module, call).map(Answer::new).map_err(Failure::new)
}

/// That the parameters of a typed call are what the declaration allows: what a type can hold may be more.
fn check<A: Action>(action: &A) -> Result<(), ParamError> {
    match serde_json::to_value(action) {
        Ok(Value::Object(given)) => read(&parameters(&entry::<A>().spec), Params::from_json(given)).map(drop),
        Ok(_) => Err(ParamError::Other { detail: "an action is a struct with named fields".to_owned() }),
        Err(error) => Err(ParamError::Other { detail: error.to_string() }),
    }
}

/// A module whose actions are typed; it is a [`Module`] by that.
pub trait TypedModule: Send + Sync + Sized + 'static {
    /// Name on the wire.
    const NAME: &'static str;
    /// One line of help.
    const SUMMARY: Text;
    /// The table: the order is the order of help.
    const ACTIONS: &'static [Entry<Self>];
    /// The typed call, for programs that embed the module. The limits that the action's table declares (ranges, lengths)
    /// hold as for a call by name.
    ///
    /// # Errors
    /// What the action says, and a [`ParamError`] for a parameter beyond its limits.
    fn call<A: Action<Module = Self>>(&self, action: A, call: &Call) -> Result<A::Output, A::Error> {
        check(&action)?;
        action.run(self, call)
    }
}

/// A module as the orchestrator holds it.
pub trait Module: Any + Send + Sync {
    /// Name on the wire.
    fn name(&self) -> &'static str;
    /// One line of help.
    fn summary(&self) -> Text;
    /// Its actions, in the order of help.
    fn specs(&self) -> Vec<Spec>;
    /// Runs an action by name: reads the parameters by their declared kinds, then does it.
    fn execute(&self, action: &str, params: Params, call: &Call) -> Result<Answer, Failure>;
}

impl<T: TypedModule> Module for T {
    fn name(&self) -> &'static str {
        T::NAME
    }
    fn summary(&self) -> Text {
        T::SUMMARY
    }
    fn specs(&self) -> Vec<Spec> {
        T::ACTIONS.iter().map(|entry| entry.spec).collect()
    }
    fn execute(&self, action: &str, params: Params, call: &Call) -> Result<Answer, Failure> {
        let entry = T::ACTIONS.iter().find(|entry| entry.spec.name == action).ok_or_else(|| {
            let known = T::ACTIONS.iter().map(|entry| entry.spec.name).collect();
            Failure::new(UnknownAction { module: T::NAME, action: action.to_owned(), known })
        })?;
        (entry.run)(self, &entry.spec, params, call)
    }
}

/// An action that the module does not have.
#[derive(Debug, thiserror::Error)]
#[error("action '{action}' not found in module '{module}'")]
struct UnknownAction {
    module: &'static str,
    action: String,
    known: Vec<&'static str>,
}

impl ErrorCode for UnknownAction {
    fn code(&self) -> &'static str {
        codes::ACTION_NOT_FOUND
    }
    fn message(&self, lang: Lang) -> String {
        let (action, module, list) = (&self.action, self.module, self.known.join(", "));
        match lang {
            Lang::En => {
                format!("Action '{action}' not found in module '{module}'. Available actions: {list}")
            }
            Lang::Tr => format!("'{action}' eylemi '{module}' modülünde bulunamadı. Mevcut eylemler: {list}"),
        }
    }
    fn data(&self) -> Option<Value> {
        Some(json!({ "available_actions": self.known }))
    }
}
