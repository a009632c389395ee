//! stub
use proto::account::v1 as wire;
pub fn transfer_out(_row: &engine::exchange::Transfer) -> wire::Transfer {
    wire::Transfer::default()
}
