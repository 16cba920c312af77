//! The instance's own keys and values, shared by all its runs. Needs the grant `store`.
//!
//! Reads see the run's own writes. When another run changes a key that this one has read, Duet repeats this
//! run; so a counter that is read and written never loses a step.

use crate::bindings::duet::plugin::store as host;
use crate::{Result, reject};
use serde::{Serialize, de::DeserializeOwned};

/// The JSON value under `key`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    match get_bytes(key) {
        Some(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        None => Ok(None),
    }
}

/// Keeps a value as JSON until it is deleted.
pub fn set<T: Serialize>(key: &str, value: &T) -> Result {
    set_bytes(key, &serde_json::to_vec(value)?, None)
}

/// Keeps a value as JSON for so many seconds.
pub fn set_for<T: Serialize>(key: &str, value: &T, ttl_seconds: u32) -> Result {
    set_bytes(key, &serde_json::to_vec(value)?, Some(ttl_seconds))
}

/// The bytes under `key`.
pub fn get_bytes(key: &str) -> Option<Vec<u8>> {
    host::get(key)
}

/// Keeps bytes until they are deleted, or for so many seconds.
pub fn set_bytes(key: &str, value: &[u8], ttl_seconds: Option<u32>) -> Result {
    host::set(key, value, ttl_seconds).map_err(reject)
}

/// Keeps `value` as JSON, or deletes the key when there is none, only if `expected` is what is there; false if
/// something else is, or anything where nothing is expected. Of runs at the same time that expect the same, one is
/// told true.
pub fn compare_and_set<T: Serialize>(
    key: &str,
    expected: Option<&T>,
    value: Option<&T>,
) -> Result<bool> {
    let expected = expected.map(serde_json::to_vec).transpose()?;
    let value = value.map(serde_json::to_vec).transpose()?;
    compare_and_set_bytes(key, expected.as_deref(), value.as_deref(), None)
}

/// The same with bytes, which are kept until they are deleted, or for so many seconds.
pub fn compare_and_set_bytes(
    key: &str,
    expected: Option<&[u8]>,
    value: Option<&[u8]>,
    ttl_seconds: Option<u32>,
) -> Result<bool> {
    host::compare_and_set(key, expected, value, ttl_seconds).map_err(reject)
}

/// Deletes a key; one that is not there is fine.
pub fn delete(key: &str) {
    host::delete(key);
}

/// Keys that start with `prefix`, in order, at most 1,000; call again with the last one as `after`.
pub fn list(prefix: &str, after: Option<&str>) -> Vec<String> {
    host::list_keys(prefix, after)
}
