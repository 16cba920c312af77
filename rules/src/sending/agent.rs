use serde::{Deserialize, Serialize};

const ID_BYTES_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 256;

/// One of a business's own people, as the system that they work in knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub id: String,
    /// To be shown.
    pub name: Option<String>,
}

impl Agent {
    /// # Errors
    /// Why there can be no such agent, in words for the plugin's author.
    pub fn check(&self) -> Result<(), String> {
        let bytes = self.id.len();
        if !(1..=ID_BYTES_MAX).contains(&bytes) {
            return Err(format!(
                "an agent's id has 1 to {ID_BYTES_MAX} bytes, this one has {bytes}"
            ));
        }
        let bytes = self.name.as_ref().map_or(0, String::len);
        if bytes > NAME_BYTES_MAX {
            return Err(format!(
                "an agent's name has at most {NAME_BYTES_MAX} bytes, this one has {bytes}"
            ));
        }
        Ok(())
    }

    /// As it is stored.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// What [`Agent::json`] has made; nobody where that cannot be read.
    #[must_use]
    pub fn read(json: &str) -> Option<Agent> {
        serde_json::from_str(json).ok()
    }
}

impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name.as_ref().unwrap_or(&self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_an_id_and_comes_back_as_it_was() {
        let agent = |id: &str, name: Option<String>| Agent {
            id: id.into(),
            name,
        };
        let asha = agent("7", Some("Asha \"A\"".into()));
        assert_eq!(asha.check(), Ok(()));
        assert_eq!(Agent::read(&asha.json()), Some(asha));
        for none in [
            agent("", None),
            agent(&"7".repeat(129), None),
            agent("7", Some("a".repeat(257))),
        ] {
            assert!(none.check().is_err(), "{none:?}");
        }
        assert_eq!(Agent::read("7"), None);
    }
}
