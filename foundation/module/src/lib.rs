//! The contract that every module of Phantom-WG implements, and nothing else.
//!
//! A module is a table of actions. An action is a struct: its fields are the parameters, their doc comments are the
//! help, and [`Action::Output`] is the answer. The command line, its help, the shell completions, the manual pages and
//! the API reference come from these tables alone.
//!
//! ```
//! use phantom_module::{Action, Call, Effect, Entry, Lang, Module, ParamError, Params, Text, TypedModule, entry};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! struct Greeter;
//!
//! /// Says hello.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Greet {
//!     /// Who is greeted
//!     #[schemars(extend("x-tr" = "Kim selamlanır"))]
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Greeting {
//!     message: String,
//! }
//!
//! impl Action for Greet {
//!     type Module = Greeter;
//!     type Output = Greeting;
//!     type Error = ParamError;
//!     const NAME: &'static str = "greet";
//!     const SUMMARY: Text = Text { en: "Say hello", tr: "Selam ver" };
//!     const EFFECT: Effect = Effect::Read;
//!     const EXAMPLE: &'static str = "name=Ada";
//!     const ERRORS: &'static [&'static str] = &[];
//!     fn run(self, _: &Greeter, _: &Call) -> Result<Greeting, ParamError> {
//!         Ok(Greeting { message: format!("Hello, {}", self.name) })
//!     }
//! }
//!
//! impl TypedModule for Greeter {
//!     const NAME: &'static str = "greeter";
//!     const SUMMARY: Text = Text { en: "Greetings", tr: "Selamlar" };
//!     const ACTIONS: &'static [Entry<Self>] = &[entry::<Greet>()];
//! }
//!
//! // Typed, for a program that embeds the module:
//! assert_eq!(Greeter.call(Greet { name: "Ada".into() }, &Call::new(Lang::En))?.message, "Hello, Ada");
//! // By name, as the command line does it:
//! let answer = Greeter.execute("greet", Params::from_words([("name", "Ada")]), &Call::new(Lang::En)).unwrap();
//! assert_eq!(answer.to_value()["message"], "Hello, Ada");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything is synchronous: the work is short and serialised by a lock. An asynchronous program calls it from
//! a blocking task.

mod action;
mod answer;
mod error;
mod or_none;
mod params;
mod secret;

pub use action::{Action, Call, Effect, Entry, Module, Spec, TypedModule, entry};
pub use answer::Answer;
pub use error::{ErrorCode, Failure, chain, codes};
pub use or_none::{OrNone, given};
pub use params::{Param, ParamError, ParameterKind, Params, RawValue, Unfit, parameters, read};
pub use phantom_types::{Lang, Text};
pub use secret::SecretText;
