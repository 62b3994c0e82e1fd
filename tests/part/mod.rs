//! For settings made by hand.

use dmevpn::engine::settings::{ClientSettings, ServerSettings};

/// What a node is in a VN.
pub enum Part {
    Spoke(ClientSettings),
    Hub(ServerSettings),
}

impl Part {
    /// As a client, as a server.
    pub fn halves(self) -> (Option<ClientSettings>, Option<ServerSettings>) {
        match self {
            Part::Spoke(client) => (Some(client), None),
            Part::Hub(server) => (None, Some(server)),
        }
    }
}
