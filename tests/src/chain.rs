//! What the plugin `probe` must have made of a conversation: the n-th message gets the reply
//! `probe <label> <event id> <n> <chain>`, where the chain folds in every message id before it.

use anyhow::Context;

/// A reply of `probe`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `probe`, or what a test has written over it in the component: five letters that tell the build.
    pub build: String,
    pub label: String,
    pub event: String,
    pub count: u64,
    pub chain: String,
}

impl Reply {
    /// # Errors
    /// When the text is no reply of `probe`.
    pub fn read(text: &str) -> anyhow::Result<Reply> {
        let words: Vec<_> = text.split(' ').collect();
        let &[build, label, event, count, chain] = words.as_slice() else {
            anyhow::bail!("no reply of probe: {text:?}")
        };
        anyhow::ensure!(build.len() == "probe".len(), "no reply of probe: {text:?}");
        let count = count
            .parse()
            .with_context(|| format!("no count in {text:?}"))?;
        Ok(Reply {
            build: build.into(),
            label: label.into(),
            event: event.into(),
            count,
            chain: chain.into(),
        })
    }
}

/// The chain after one more message: FNV-1a, 64 bit, over the chain before and the message's id.
#[must_use]
pub fn next(chain: &str, message_id: &str) -> String {
    let hash = chain
        .bytes()
        .chain(message_id.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{hash:016x}")
}
