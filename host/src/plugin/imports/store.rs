//! `store`: the instance's own keys and values.

use wasmtime::Result;

use super::after_seconds;
use crate::plugin::bindings::duet::plugin::store::Host;
use crate::plugin::fault::Stop;
use crate::plugin::running::Running;

const KEY_BYTES_MAX: usize = 512;
const KEYS_MAX: usize = 1_000;

impl Host for Running {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        self.count_call()?;
        if key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        Ok(self
            .buffer
            .get(&*self.world, &key)
            .await
            .map_err(Stop::from)?)
    }

    fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> Result<std::result::Result<(), String>> {
        self.count_call()?;
        if let Err(refusal) = check_key(&key) {
            return Ok(Err(refusal));
        }
        let expires_ms = ttl_seconds.map(|seconds| after_seconds(self.now_ms, seconds));
        self.buffer.write(key, Some((value, expires_ms)))?;
        Ok(Ok(()))
    }

    fn delete(&mut self, key: String) -> Result<()> {
        self.count_call()?;
        if key.len() <= KEY_BYTES_MAX {
            self.buffer.write(key, None)?;
        }
        Ok(())
    }

    async fn compare_and_set(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        ttl_seconds: Option<u32>,
    ) -> Result<std::result::Result<bool, String>> {
        self.count_call()?;
        if let Err(refusal) = check_key(&key) {
            return Ok(Err(refusal));
        }
        let expires_ms = ttl_seconds.map(|seconds| after_seconds(self.now_ms, seconds));
        let kept = value.map(|value| (value, expires_ms));
        let set = self
            .buffer
            .compare_and_set(&*self.world, key, expected.as_deref(), kept)
            .await?;
        Ok(Ok(set))
    }

    async fn list_keys(&mut self, prefix: String, after: Option<String>) -> Result<Vec<String>> {
        self.count_call()?;
        if prefix.len() > KEY_BYTES_MAX {
            return Ok(Vec::new());
        }
        // No key is longer, so what is behind its beginning is behind all of it.
        let after = after.map(|mut after| {
            after.truncate(after.floor_char_boundary(KEY_BYTES_MAX));
            after
        });
        let keys = self
            .buffer
            .list(&*self.world, &prefix, after.as_deref(), KEYS_MAX)
            .await;
        let keys = keys.map_err(Stop::from)?;
        self.count_listed(keys.len())?;
        Ok(keys)
    }
}

fn check_key(key: &str) -> std::result::Result<(), String> {
    match key.len() {
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(format!(
            "a key has 1 to {KEY_BYTES_MAX} bytes, this one has {bytes}"
        )),
    }
}
