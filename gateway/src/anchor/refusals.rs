//! Why a contract refused, in the contract's own names.

use std::{collections::HashMap, sync::OnceLock};

use revm::primitives::{Address, B256, hex, keccak256};
use serde_json::Value;

use super::{abi::Reader, contract::ARTIFACTS};

/// An error that a contract may answer with: its name, names and types of its values.
#[derive(Debug)]
struct Known {
    name: String,
    values: Vec<(String, String)>,
}

/// All errors of the three contracts, by their first four bytes.
fn known() -> &'static HashMap<[u8; 4], Known> {
    static KNOWN: OnceLock<HashMap<[u8; 4], Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let artifacts = ARTIFACTS.iter().map(|text| serde_json::from_str(text));
        let rows = artifacts.filter_map(|artifact: Result<Value, _>| {
            artifact.ok()?.get("abi")?.as_array().cloned()
        });
        let standard = serde_json::json!({"type": "error", "name": "Error",
            "inputs": [{"name": "", "type": "string"}]});
        let rows = rows.flatten().chain([standard]);
        rows.filter_map(|row| one(&row)).collect()
    })
}

fn one(row: &Value) -> Option<([u8; 4], Known)> {
    (row["type"] == "error").then_some(())?;
    let name = row["name"].as_str()?.to_owned();
    let values: Option<Vec<(String, String)>> = row["inputs"]
        .as_array()?
        .iter()
        .map(|input| {
            Some((
                input["name"].as_str()?.into(),
                input["type"].as_str()?.into(),
            ))
        })
        .collect();
    let values = values?;
    let types: Vec<&str> = values.iter().map(|(_, kind)| kind.as_str()).collect();
    let hash = keccak256(format!("{name}({})", types.join(",")));
    Some((*hash.first_chunk()?, Known { name, values }))
}

/// The words of a refusal, such as `Backwards(field: seq, got: 0, last: 60)`; else its first bytes in hex.
#[must_use]
pub fn words(data: &[u8]) -> String {
    let Some((selector, rest)) = data.split_first_chunk::<4>() else {
        return "no reason given".into();
    };
    let whole = Reader::new(rest);
    let told = known().get(selector).and_then(|known| {
        let mut reader = whole;
        let mut words = Vec::new();
        for (name, kind) in &known.values {
            let word = reader.word()?;
            let value = value(word, kind, &whole)?;
            let colon = if name.is_empty() { "" } else { ": " };
            words.push(format!("{name}{colon}{value}"));
        }
        Some(match words.is_empty() {
            true => known.name.clone(),
            false => format!("{}({})", known.name, words.join(", ")),
        })
    });
    told.unwrap_or_else(|| format!("error {}", hex::encode_prefixed(selector)))
}

/// Whether it is only the signatures that a header lacks.
#[must_use]
pub fn is_unsigned(data: &[u8]) -> bool {
    let error = keccak256("SignatureLength(uint256,uint256)");
    data.get(..4) == Some(&error[..4])
}

fn value(word: B256, kind: &str, whole: &Reader<'_>) -> Option<String> {
    let wide = || Reader::new(word.as_slice()).wide();
    Some(match kind {
        "string" => whole.text_at(u64::try_from(wide()?).ok()?)?,
        "address" => Address::from_word(word).to_string(),
        "bytes32" => word.to_string(),
        // Wider numbers are told as they are.
        _ => wide().map_or_else(|| word.to_string(), |number| number.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchor::abi::{Part, Words, tuple};

    #[test]
    fn a_refusal_is_told_in_the_contracts_names() {
        let values = tuple(&[
            Part::Far(Words::new().text("seq")),
            Part::Here(Words::new().number(3).number(60)),
        ]);
        let data = values.call("Backwards(string,uint256,uint256)");
        assert_eq!(words(&data), "Backwards(field: seq, got: 3, last: 60)");
        assert_eq!(words(&Words::new().call("NotFrozen()")), "NotFrozen");
        let paid = Words::new().number(7).call("AlreadyPaid(uint256)");
        assert_eq!(words(&paid), "AlreadyPaid(id: 7)");
        assert_eq!(words(&[1, 2, 3, 4]), "error 0x01020304");
    }
}
