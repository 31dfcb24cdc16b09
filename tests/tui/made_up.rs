//! A module that the interface has never heard of, and an action that one of its own does not have yet: both appear.

use phantom_api::{Action, Call, Effect, Entry, Phantom, Text, TypedModule, entry};
use phantom_module::ParamError;
use phantom_tests::Server;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::driver::{FULL, TuiDriver};

struct Radio;

/// Plays a station.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Play {
    /// Which station
    #[schemars(extend("x-tr" = "Hangi istasyon"))]
    station: String,
    /// How loud
    #[serde(default = "medium")]
    #[schemars(range(min = 0, max = 11), extend("x-tr" = "Ne kadar yüksek"))]
    volume: u8,
    /// In stereo
    #[serde(default)]
    #[schemars(extend("x-tr" = "Stereo"))]
    stereo: bool,
}

fn medium() -> u8 {
    5
}

#[derive(Serialize, JsonSchema)]
struct Playing {
    /// What is heard
    #[schemars(extend("x-tr" = "Duyulan"))]
    sound: String,
    /// Who plays
    #[schemars(extend("x-tr" = "Çalanlar"))]
    band: Vec<Player>,
}

#[derive(Serialize, JsonSchema)]
struct Player {
    /// Instrument
    #[schemars(extend("x-tr" = "Çalgı"))]
    instrument: &'static str,
}

impl Action for Play {
    type Module = Radio;
    type Output = Playing;
    type Error = ParamError;
    const NAME: &'static str = "play";
    const SUMMARY: Text = Text { en: "Play a station", tr: "Bir istasyon çal" };
    const EFFECT: Effect = Effect::Change;
    const EXAMPLE: &'static str = "station=jazz";
    const ERRORS: &'static [&'static str] = &[];
    fn run(self, _: &Radio, _: &Call) -> Result<Playing, ParamError> {
        let Self { station, volume, stereo } = self;
        let band = vec![Player { instrument: "bağlama" }, Player { instrument: "ney" }];
        Ok(Playing { sound: format!("{station} at {volume}, stereo {stereo}"), band })
    }
}

/// Smashes the set.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Smash {}

#[derive(Serialize, JsonSchema)]
struct Smashed {
    /// A sentence for people
    #[schemars(extend("x-tr" = "Kullanıcıya yönelik bir cümle"))]
    message: &'static str,
}

impl Action for Smash {
    type Module = Radio;
    type Output = Smashed;
    type Error = ParamError;
    const NAME: &'static str = "smash";
    const SUMMARY: Text = Text { en: "Smash the set", tr: "Cihazı parçala" };
    const EFFECT: Effect = Effect::Destroy;
    const EXAMPLE: &'static str = "";
    const ERRORS: &'static [&'static str] = &[];
    fn run(self, _: &Radio, _: &Call) -> Result<Smashed, ParamError> {
        Ok(Smashed { message: "It is in pieces" })
    }
}

impl TypedModule for Radio {
    const NAME: &'static str = "radio";
    const SUMMARY: Text = Text { en: "Radio", tr: "Radyo" };
    const ACTIONS: &'static [Entry<Self>] = &[entry::<Play>(), entry::<Smash>()];
}

fn person() -> TuiDriver {
    let server = Server::ready();
    let builder = Phantom::builder(server.host.clone(), server.store()).all_modules();
    let phantom = builder.with(std::sync::Arc::new(Radio)).build().unwrap();
    TuiDriver::with(server, phantom, FULL, (80, 24))
}

#[test]
fn module_appears_with_forms_from_table() {
    let mut person = person();
    person.picks("Radio").sees("1  Play a station").sees("2  Smash the set");
    person.press("1").sees("Which station").sees("0–11").sees("default: 5").sees("In stereo");
    person.press("Enter").sees("station is required");
    person.types("türkü").press("Tab").types("12").press("Enter").sees("from 0 to 11");
    person.press("Left Left Tab").press("Right Enter").sees("from 0 to 11");
    person.press("Esc 1").types("türkü").press("Tab").types("11").press("Tab Right Enter");
    person.sees("What is heard").sees("türkü at 11, stereo true").sees("Instrument").sees("bağlama");
}

#[test]
fn what_destroys_is_asked_about() {
    let mut person = person();
    person.picks("Radio").press("2").sees("This cannot be undone").press("Enter").sees("Cancelled");
    person.press("2 y").sees("It is in pieces");
}
