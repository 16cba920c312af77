use toml::de::DeTable;

/// Whether the text of a `plugins.toml` has a table for this plugin, whatever it says.
#[must_use]
pub fn has_plugin(text: &str, name: &str) -> bool {
    let tree = DeTable::parse(text).ok();
    let plugins = tree.as_ref().and_then(|tree| tree.get_ref().get("plugins"));
    let plugins = plugins.and_then(|plugins| plugins.get_ref().as_table());
    plugins.is_some_and(|plugins| plugins.contains_key(name))
}

/// The text of a `plugins.toml` with this plugin switched on or off, and not another byte changed. `None` when there is
/// no such plugin, or when its table is written in a way that only a person can change.
#[must_use]
pub fn switched(text: &str, name: &str, enabled: bool) -> Option<String> {
    let tree = DeTable::parse(text).ok()?;
    let plugins = tree.get_ref().get("plugins")?.get_ref().as_table()?;
    let (key, value) = plugins.get_key_value(name)?;
    let table = value.get_ref().as_table()?;
    let changed = match table.get("enabled") {
        Some(value) => with(text, value.span(), &enabled.to_string())?,
        None if enabled => text.to_owned(),
        None => {
            let (at, line) = below(text, key.span().start)?;
            with(text, at..at, &line)?
        }
    };
    // Tables can be written in many ways: what comes out is taken only if it says exactly this.
    let mut wanted: toml::Table = text.parse().ok()?;
    let plugins = wanted.get_mut("plugins")?.as_table_mut()?;
    let table = plugins.get_mut(name)?.as_table_mut()?;
    if table.contains_key("enabled") || !enabled {
        table.insert("enabled".to_owned(), enabled.into());
    }
    let told: toml::Table = changed.parse().ok()?;
    (told == wanted).then_some(changed)
}

fn with(text: &str, place: std::ops::Range<usize>, words: &str) -> Option<String> {
    let (before, after) = (text.get(..place.start)?, text.get(place.end..)?);
    Some(format!("{before}{words}{after}"))
}

/// Where the line after a header begins, and what stands there then.
fn below(text: &str, header: usize) -> Option<(usize, String)> {
    const LINE: &str = "enabled = false";
    let rest = text.get(header..)?;
    Some(match rest.find('\n') {
        Some(end) if rest.get(..end)?.ends_with('\r') => (header + end + 1, format!("{LINE}\r\n")),
        Some(end) => (header + end + 1, format!("{LINE}\n")),
        None => (text.len(), format!("\n{LINE}\n")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[plugins.one] # first\ncomponent = \"1.wasm\"\n\n[plugins.two]\ncomponent = \"2.wasm\"\nenabled  =  true # always\n[plugins.two.settings]\nenabled = 3\n";

    #[test]
    fn one_word_or_one_line_changes() {
        let off = switched(FILE, "one", false).unwrap();
        let line = "[plugins.one] # first\nenabled = false\ncomponent";
        assert_eq!(off, FILE.replace("[plugins.one] # first\ncomponent", line));
        assert_eq!(switched(&off, "one", false).as_ref(), Some(&off));
        let on = switched(&off, "one", true).unwrap();
        assert_eq!(on, off.replace("enabled = false", "enabled = true"));

        let off = switched(FILE, "two", false).unwrap();
        assert_eq!(off, FILE.replace("=  true", "=  false"));
        assert_eq!(switched(FILE, "one", true).unwrap(), FILE);
        let later = "[plugins.one.settings]\na = 1\n[plugins.one]\ncomponent = \"c\"\n";
        let off = switched(later, "one", false).unwrap();
        assert!(off.ends_with("[plugins.one]\nenabled = false\ncomponent = \"c\"\n"));
        let crlf = FILE.replace('\n', "\r\n");
        let off = switched(&crlf, "one", false).unwrap();
        assert_eq!(off.matches('\n').count(), off.matches("\r\n").count());
    }

    #[test]
    fn what_only_a_person_can_change_is_left_alone() {
        for text in [
            "",
            "not toml",
            "[plugins.other]\ncomponent = \"c\"\n",
            "plugins = { one = { component = \"c\" } }\n",
            "plugins.one.component = \"c\"\n",
            "[plugins]\none = { component = \"c\" }\n",
        ] {
            assert_eq!(switched(text, "one", false), None, "{text}");
        }
        let inline = "plugins = { one = { component = \"c\", enabled = true } }";
        let off = switched(inline, "one", false).unwrap();
        assert_eq!(off, inline.replace("true", "false"));
        let last = switched("[plugins.one]", "one", false).unwrap();
        assert_eq!(last, "[plugins.one]\nenabled = false\n");
        let there = ["one", "two", "three"].map(|name| has_plugin(FILE, name));
        assert_eq!(there, [true, true, false]);
    }
}
