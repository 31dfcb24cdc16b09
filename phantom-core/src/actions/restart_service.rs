//! `restart_service`: stops and starts the WireGuard service.

use phantom_module::{Action, Call, Effect, Lang, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{check_port, unit_name};
use crate::{Core, CoreError, origin};

/// Stops and starts the WireGuard service; every connected client is interrupted briefly.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartService {}

/// The interface was made again from the stored state.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceRestarted {
    /// Always true
    #[schemars(extend("x-tr" = "Her zaman true"))]
    pub restarted: bool,
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

impl Action for RestartService {
    type Module = Core;
    type Output = ServiceRestarted;
    type Error = CoreError;
    const NAME: &'static str = "restart_service";
    const SUMMARY: Text = Text { en: "Restart the service", tr: "Servisi yeniden başlat" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["PORT_IN_USE", "SERVICE_OPERATION_FAILED"];

    fn run(self, core: &Core, call: &Call) -> Result<ServiceRestarted, CoreError> {
        core.engine().change(origin(Self::NAME), call, |change| {
            let mut server = super::server(change)?;
            check_port(core.engine(), &server, server.port)?;
            server.stopped_in = None;
            change.set_server(&server)?;
            change.restart()?;
            Ok(ServiceRestarted {
                restarted: true,
                service_active: true,
                interface_up: true,
                service: unit_name(&server),
                message: restarted(call.lang),
            })
        })
    }
}

fn restarted(lang: Lang) -> &'static str {
    lang.pick("Service restarted successfully", "Servis başarıyla yeniden başlatıldı")
}
