//! What Multihop claims: the networks of its exits, and while it is active that the server stays as it is.

use ipnetwork::IpNetwork;
use phantom_engine::{ClaimedNetwork, Claims, ServerSetting, Veto};
use phantom_module::{Text, TypedModule as _};
use phantom_store::{State, StoreError};

use crate::Multihop;
use crate::rows::MultihopState as _;

/// Rules and routes lead packets of this subnet to the exit.
pub(crate) const VETO: Veto = Veto {
    module: Multihop::NAME,
    feature: Text { en: "Multihop", tr: "Multihop" },
    disabled: Text { en: "Multihop", tr: "Multihop'u" },
    settings: &[ServerSetting::Subnet, ServerSetting::Port, ServerSetting::Backend],
};

pub(crate) fn claims(state: &State<'_>) -> Result<Claims, StoreError> {
    let mut networks = Vec::new();
    for (exit, addresses) in state.exit_addresses()? {
        let claimed = |network| ClaimedNetwork { owner: exit.to_string(), network: IpNetwork::V4(network) };
        networks.extend(addresses.into_iter().map(claimed));
    }
    if !state.multihop_active()? {
        return Ok(Claims { networks, ..Claims::default() });
    }
    let interfaces = state.exit_interface()?.into_iter().collect();
    Ok(Claims { interfaces, networks, vetoes: vec![VETO], ..Claims::default() })
}
