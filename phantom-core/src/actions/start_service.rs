//! `start_service`: brings the WireGuard service up.

use phantom_engine::Scope;
use phantom_module::{Action, Call, Effect, Lang, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{check_port, is_up, unit_name};
use crate::{Core, CoreError, origin};

/// Starts the WireGuard service; one that runs is left alone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartService {}

/// The service runs.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct ServiceStarted {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub started: bool,
    /// It ran before
    #[schemars(extend("x-tr" = "Önceden çalışıyordu"))]
    pub already_running: bool,
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub service_active: bool,
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub interface_up: bool,
    /// Name of the service
    #[schemars(extend("x-tr" = "Servisin adı"))]
    pub service: String,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

impl Action for StartService {
    type Module = Core;
    type Output = ServiceStarted;
    type Error = CoreError;
    const NAME: &'static str = "start_service";
    const SUMMARY: Text = Text { en: "Start the service", tr: "Servisi başlat" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["PORT_IN_USE", "SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ServiceStarted, CoreError> {
        core.engine().change(origin(Self::NAME), call, |change| {
            let mut server = super::server(change)?;
            let already_running = is_up(core.engine(), &server);
            if !already_running {
                check_port(core.engine(), &server, server.port)?;
            }
            if server.stopped_in.take().is_some() {
                change.set_server(&server)?;
            }
            change.apply(Scope::Full)?;
            Ok(ServiceStarted {
                started: true,
                already_running,
                service_active: true,
                interface_up: true,
                service: unit_name(&server),
                message: message(already_running, call.lang),
            })
        })
    }
}

fn message(already_running: bool, lang: Lang) -> &'static str {
    if already_running {
        lang.pick("Service is already running", "Servis zaten çalışıyor")
    } else {
        lang.pick("Service started successfully", "Servis başarıyla başlatıldı")
    }
}
