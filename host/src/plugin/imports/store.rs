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
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(Err(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes, this one has {}",
                key.len()
            )));
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

    async fn list_keys(&mut self, prefix: String, after: Option<String>) -> Result<Vec<String>> {
        self.count_call()?;
        if prefix.len() > KEY_BYTES_MAX {
            return Ok(Vec::new());
        }
        let keys = self
            .buffer
            .list(&*self.world, &prefix, after.as_deref(), KEYS_MAX)
            .await;
        Ok(keys.map_err(Stop::from)?)
    }
}
