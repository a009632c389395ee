//! What a meter or attestor signs: one line of text for each field, so that every language makes the same
//! bytes. Protobuf has no canonical encoding.

use ed25519_dalek::{Signature, VerifyingKey};
use engine::{
    command::Signed,
    reason::{Field, Reason},
};
use proto::admin::v1::{CapacityAttestation, MeterReading};
use tonic::Status;

use crate::refusal;

/// The text of a reading: a heading, then the fields in the order of the message, each on a line.
#[must_use]
pub fn reading(reading: &MeterReading) -> String {
    let MeterReading {
        meter_id,
        kind,
        obligation_id,
        start_unix_nanos,
        end_unix_nanos,
        accepted_difficulty,
        accepted_shares,
        mean_weighted_difficulty,
        rejected_difficulty,
        rejected_shares,
        destination_down_seconds,
        blocks_found,
        committed,
    } = reading;
    format!(
        "hashpit meter reading 1\n{meter_id}\n{kind}\n{obligation_id}\n{start_unix_nanos}\n\
         {end_unix_nanos}\n{accepted_difficulty}\n{accepted_shares}\n{mean_weighted_difficulty}\n\
         {rejected_difficulty}\n{rejected_shares}\n{destination_down_seconds}\n{blocks_found}\n{committed}\n"
    )
}

/// The text of an attestation, made the same way.
#[must_use]
pub fn attestation(attestation: &CapacityAttestation) -> String {
    let CapacityAttestation {
        account_id,
        commodity_id,
        attested_ths,
        measured_start_unix_nanos,
        measured_end_unix_nanos,
        accepted_shares,
        valid_until_unix_nanos,
        meter_id,
        site,
        jurisdiction,
        machine_class,
    } = attestation;
    format!(
        "hashpit capacity attestation 1\n{account_id}\n{commodity_id}\n{attested_ths}\n\
         {measured_start_unix_nanos}\n{measured_end_unix_nanos}\n{accepted_shares}\n\
         {valid_until_unix_nanos}\n{meter_id}\n{site}\n{jurisdiction}\n{machine_class}\n"
    )
}

/// Whether the signature is that key's over the text. A line break inside a name would move fields, so
/// names with control characters are refused before.
///
/// # Errors
/// SIGNATURE_INVALID.
pub fn check(text: &str, names: &[&str], signed: &Signed) -> Result<(), Status> {
    let invalid = || refusal::about(Reason::SignatureInvalid, Field::Meter);
    if names.iter().any(|name| name.chars().any(char::is_control)) {
        return Err(invalid());
    }
    let key = VerifyingKey::from_bytes(&signed.public_key).map_err(|_| invalid())?;
    let signature = Signature::from_bytes(&signed.signature);
    key.verify_strict(text.as_bytes(), &signature)
        .map_err(|_| invalid())
}
