//! `stop_service`: takes the WireGuard service down.

use phantom_module::{Action, Call, Effect, Lang, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{is_up, unit_name};
use crate::{Core, CoreError, origin};

/// Takes the WireGuard interface down until it is started, restarted, or the next boot.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopService {}

/// The service does not run.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct ServiceStopped {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub stopped: bool,
    /// It did not run before
    #[schemars(extend("x-tr" = "Önceden çalışmıyordu"))]
    pub already_stopped: bool,
    /// Always false
    #[schemars(extend("x-tr" = "Her zaman false"))]
    pub service_active: bool,
    /// Always false
    #[schemars(extend("x-tr" = "Her zaman false"))]
    pub interface_up: bool,
    /// Name of the service
    #[schemars(extend("x-tr" = "Servisin adı"))]
    pub service: String,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

impl Action for StopService {
    type Module = Core;
    type Output = ServiceStopped;
    type Error = CoreError;
    const NAME: &'static str = "stop_service";
    const SUMMARY: Text = Text { en: "Stop the service", tr: "Servisi durdur" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ServiceStopped, CoreError> {
        core.engine().change(origin(Self::NAME), call, |change| {
            let mut server = super::server(change)?;
            let already_stopped = !is_up(core.engine(), &server);
            server.stopped_in = core.engine().installation()?.run_id;
            change.set_server(&server)?;
            change.stop()?;
            Ok(ServiceStopped {
                stopped: true,
                already_stopped,
                service_active: false,
                interface_up: false,
                service: unit_name(&server),
                message: message(already_stopped, call.lang),
            })
        })
    }
}

fn message(already_stopped: bool, lang: Lang) -> &'static str {
    if already_stopped {
        lang.pick("Service is already stopped", "Servis zaten durdurulmuş")
    } else {
        lang.pick("Service stopped successfully", "Servis başarıyla durduruldu")
    }
}
