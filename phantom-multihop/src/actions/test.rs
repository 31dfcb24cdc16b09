//! `test_vpn`: tests the active exit.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use phantom_host::PingSource;
use phantom_module::{Action, Call, Effect, Text};
use phantom_types::ExitName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desired::vpn_ip;
use crate::rows::MultihopState as _;
use crate::verify::{self, RECENT};
use crate::{Multihop, MultihopError};

/// How long an exit that is asked for a handshake has.
const LIMIT: Duration = Duration::from_secs(5);
/// How long it has to answer an echo.
const ECHO: Duration = Duration::from_secs(1);

/// Tests the active exit. Nobody else is contacted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestVpn {}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TestReport {
    /// Name of the exit
    #[schemars(extend("x-tr" = "Çıkış noktasının adı"))]
    pub exit_name: ExitName,
    /// Where it is
    #[schemars(extend("x-tr" = "Uç noktası"))]
    pub endpoint: String,
    /// The tests
    #[schemars(extend("x-tr" = "Testler"))]
    pub tests: Tests,
    /// All of them passed
    #[schemars(extend("x-tr" = "Hepsi geçti"))]
    pub all_tests_passed: bool,
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    pub message: &'static str,
}

/// The tests.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tests {
    /// The exit answered
    #[schemars(extend("x-tr" = "Çıkış noktası yanıt verdi"))]
    pub network_connectivity: HostTest,
    /// The interface is there, up, and has its address
    #[schemars(extend("x-tr" = "Arayüz mevcut, açık ve adresine sahip"))]
    pub vpn_interface: AddressTest,
    /// The last handshake is younger than 180 seconds
    #[schemars(extend("x-tr" = "Son el sıkışma 180 saniyeden yeni"))]
    pub wireguard_handshake: HandshakeTest,
    /// As `network_connectivity`
    #[schemars(extend("x-tr" = "`network_connectivity` ile aynı"))]
    pub connectivity: HostTest,
    /// As `wireguard_handshake`
    #[schemars(extend("x-tr" = "`wireguard_handshake` ile aynı"))]
    pub handshake: HandshakeTest,
    /// Packets of clients leave through the exit with its address
    #[schemars(extend("x-tr" = "İstemci paketleri çıkış noktasından, onun adresiyle ayrılıyor"))]
    pub ip_check: AddressTest,
}

/// A test of a host.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HostTest {
    /// It passed
    #[schemars(extend("x-tr" = "Geçti"))]
    pub passed: bool,
    /// The host
    #[schemars(extend("x-tr" = "Sunucu"))]
    pub host: String,
}

/// A test of an address.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AddressTest {
    /// It passed
    #[schemars(extend("x-tr" = "Geçti"))]
    pub passed: bool,
    /// Our address in the network of the exit
    #[schemars(extend("x-tr" = "Çıkış ağındaki adresimiz"))]
    pub vpn_ip: Option<Ipv4Addr>,
}

/// A test of the handshake.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HandshakeTest {
    /// It passed
    #[schemars(extend("x-tr" = "Geçti"))]
    pub passed: bool,
    /// The last handshake is younger than 180 seconds
    #[schemars(extend("x-tr" = "Son el sıkışma 180 saniyeden yeni"))]
    pub has_recent_handshake: bool,
}

impl Action for TestVpn {
    type Module = Multihop;
    type Output = TestReport;
    type Error = MultihopError;
    const NAME: &'static str = "test_vpn";
    const SUMMARY: Text = Text { en: "Test the VPN connection", tr: "VPN bağlantısını test et" };
    const EFFECT: Effect = Effect::Read;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &["VALIDATION_ERROR"];

    fn run(self, multihop: &Multihop, call: &Call) -> Result<TestReport, MultihopError> {
        let engine = multihop.engine();
        let (place, stored, exit) = engine.read(|state| {
            let stored = state.multihop()?.ok_or(MultihopError::NothingToTest)?;
            let exit = super::exit(state, &stored.active_exit)?;
            Ok::<_, MultihopError>((super::place(state)?, stored, exit))
        })?;
        let at = stored.endpoint_address.or_else(|| exit.endpoint.socket_addr());
        let since = engine.host().clock.now().minus(RECENT);
        let recent = at.is_some_and(|at| verify::handshake(engine, &place, &exit, at, since, LIMIT).is_ok());
        let network = &engine.host().network;
        let echo = || {
            let from = PingSource::Interface(place.interface.clone());
            verify::target(&exit, at).is_some_and(|to| network.echo(&from, to, 2, ECHO).unwrap_or(false))
        };
        let answered = recent || echo();
        let vpn_ip = vpn_ip(&exit);
        let up = network.link(&place.interface).ok().flatten().is_some_and(|link| link.up);
        let has = |ip: Ipv4Addr| {
            let addresses = network.addresses().unwrap_or_default();
            addresses
                .iter()
                .any(|(name, network)| name == place.interface.as_str() && network.ip() == IpAddr::V4(ip))
        };
        let there = up && vpn_ip.is_some_and(has);
        let leaves =
            verify::check_route(engine, &place, &exit).is_ok() && verify::check_firewall(engine).is_ok();
        let host = at.map_or_else(|| exit.endpoint.host.to_string(), |at| at.ip().to_string());
        let connectivity = HostTest { passed: answered, host };
        let handshake = HandshakeTest { passed: recent, has_recent_handshake: recent };
        let passed = answered && recent && there && leaves;
        Ok(TestReport {
            exit_name: exit.name,
            endpoint: at.map_or_else(|| exit.endpoint.to_string(), |at| at.to_string()),
            tests: Tests {
                network_connectivity: connectivity.clone(),
                vpn_interface: AddressTest { passed: there, vpn_ip },
                wireguard_handshake: handshake.clone(),
                connectivity,
                handshake,
                ip_check: AddressTest { passed: leaves, vpn_ip },
            },
            all_tests_passed: passed,
            message: if passed {
                call.lang.pick("All tests passed", "Tüm testler geçti")
            } else {
                call.lang.pick("Some tests failed", "Bazı testler başarısız")
            },
        })
    }
}
