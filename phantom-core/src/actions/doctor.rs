//! `doctor`: looks at everything that the server needs of this host, and says what to do.

use phantom_module::{Action, Call, Effect, Lang, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::doctor::{self, Check, CheckState};
use crate::{Core, CoreError};

/// Checks what the server needs of this host and says what to do; asks the host's resolvers and the stored DNS servers for
/// google.com, and changes nothing.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Doctor {}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DoctorReport {
    /// There is no problem; there may be warnings
    #[schemars(extend("x-tr" = "Sorun yok; uyarı olabilir"))]
    pub healthy: bool,
    /// Number of problems
    #[schemars(extend("x-tr" = "Sorun sayısı"))]
    pub problems: usize,
    /// Number of warnings
    #[schemars(extend("x-tr" = "Uyarı sayısı"))]
    pub warnings: usize,
    /// The checks, in a fixed order
    #[schemars(extend("x-tr" = "Sabit bir sırayla denetimler"))]
    pub checks: Vec<Check>,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: String,
}

impl Action for Doctor {
    type Module = Core;
    type Output = DoctorReport;
    type Error = CoreError;
    const NAME: &'static str = "doctor";
    const SUMMARY: Text =
        Text { en: "Check the host and say what to do", tr: "Sunucuyu denetle ve yapılacakları söyle" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];
    // Before the system is set up it says whether this host is fit for it.
    const NEEDS_SETUP: bool = false;

    fn run(self, core: &Core, call: &Call) -> Result<DoctorReport, CoreError> {
        let checks = doctor::examine(core.engine(), call.lang)?;
        let count = |state| checks.iter().filter(|check| check.state == state).count();
        let (problems, warnings) = (count(CheckState::Problem), count(CheckState::Warning));
        let message = match (problems, warnings, call.lang) {
            (0, 0, lang) => lang.pick("No problems found", "Sorun bulunmadı").to_owned(),
            (_, _, Lang::En) => format!("Problems: {problems}, warnings: {warnings}"),
            (_, _, Lang::Tr) => format!("Sorun: {problems}, uyarı: {warnings}"),
        };
        Ok(DoctorReport { healthy: problems == 0, problems, warnings, checks, message })
    }
}
