//! `duet plugin enable` and `disable`: change `plugins.toml` as its admin would, by one table or one word, and only to
//! what `duet check` takes.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use duet_rules::plugins_toml::{GivenSetting, Wish, draft, has_plugin, name_is_valid, switched};
use duet_rules::toml_file::FILE_BYTES_MAX;

use super::inspect::{Inspected, told};
use crate::cli::{Ended, check, serve};
use crate::config::{Flags, Settings, Sources, environment};
use crate::file::{read_at_most, replace};

#[derive(clap::Args)]
pub(in crate::cli) struct Enable {
    /// The .wasm file, or the name of a plugin that was switched off
    component: PathBuf,
    /// Its name in plugins.toml; its own if absent
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Whose plugin it is: it sees and reaches what is that business's and nothing else
    #[arg(long)]
    business: Option<String>,
    /// A setting of the plugin, its value as in TOML; what is no TOML is text
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<GivenSetting>,
    /// Asks nothing
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
pub(in crate::cli) struct Disable {
    /// Its name in plugins.toml
    name: String,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn enable(asked: &Enable) -> anyhow::Result<Ended> {
    let file = PluginsFile::read(&asked.flags)?;
    let name = asked.component.to_str().unwrap_or_default();
    if !asked.component.exists() && file.has(name) {
        return file.switch(name, true);
    }
    let inspected = match Inspected::read(&asked.component)? {
        Ok(inspected) => inspected,
        Err(problems) => return Ok(told(&problems)),
    };
    let name = asked.name.as_deref().unwrap_or(&inspected.manifest.name);
    if !name_is_valid(name) {
        bail!("{name:?} is no name for a plugin; give 1 to 63 of a-z, 0-9 and - with --as");
    }
    if file.has(name) {
        bail!(
            "{} has a plugin {name} already; name this one with --as, or switch that one on with duet plugin enable {name}",
            file.path.display()
        );
    }
    let component = file.component(&asked.component)?;
    let wish = Wish {
        name,
        component: &component,
        business: asked.business.as_deref(),
        settings: &asked.settings,
    };
    let table = draft(&inspected.manifest, &inspected.imports, &wish);
    inspected.tell();
    say!(
        "\nTo be added to {}:\n\n{}",
        file.path.display(),
        table.trim_end()
    );

    let text = file.with_table(&table);
    if let Some(ended) = file.refuses(&text) {
        return Ok(ended);
    }
    if !asked.yes && !agreed()? {
        say!("nothing was changed");
        return Ok(Ended::Done);
    }
    file.write(&text)?;
    say!(
        "\n{name} is switched on; a gateway that runs takes it over, and duet plugin list says how it fares"
    );
    Ok(Ended::Done)
}

pub(super) fn disable(asked: &Disable) -> anyhow::Result<Ended> {
    PluginsFile::read(&asked.flags)?.switch(&asked.name, false)
}

fn agreed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here, so nothing was changed; add --yes");
    }
    print!("\nSwitch it on with these grants? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// The admin's file as it was read.
struct PluginsFile {
    path: PathBuf,
    /// `None` when there is no such file yet.
    text: Option<String>,
}

impl PluginsFile {
    fn read(flags: &Flags) -> anyhow::Result<PluginsFile> {
        let (sources, problems) = Sources::read(flags, &environment);
        serve::refuse(problems)?;
        let path = serve::given(Settings::resolve(&sources))?.plugins;
        let text = text_of(&path)?;
        Ok(PluginsFile { path, text })
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        has_plugin(self.text(), name)
    }

    /// The path of a component as it is written here: from the file's folder if it is in there.
    fn component(&self, component: &Path) -> anyhow::Result<String> {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::path::absolute(folder.unwrap_or(Path::new(".")))?;
        let component = std::path::absolute(component)?;
        let path = component.strip_prefix(&folder).unwrap_or(&component);
        let path = path
            .to_str()
            .context("the path of the component is not UTF-8")?;
        Ok(path.to_owned())
    }

    /// With one more table at its end.
    fn with_table(&self, table: &str) -> String {
        let before = self.text();
        let newlines = match before {
            "" => "",
            _ if before.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        format!("{before}{newlines}{table}")
    }

    /// Tells what `duet check` would say of this text, if anything.
    fn refuses(&self, text: &str) -> Option<Ended> {
        let problems = check::of_plugins(&self.path, text.as_bytes());
        if problems.is_empty() {
            return None;
        }
        say!("\nNothing was changed, since duet check would say:\n");
        for problem in problems {
            say!("{problem}");
        }
        say!("\nA setting that is missing can be given with --set key=value");
        Some(Ended::Problems)
    }

    /// Switches a plugin of the file. One that is switched off need not be well.
    fn switch(&self, name: &str, enabled: bool) -> anyhow::Result<Ended> {
        let path = self.path.display();
        let word = if enabled { "on" } else { "off" };
        if !self.has(name) {
            bail!("{path} has no plugin {name:?}");
        }
        let Some(text) = switched(self.text(), name, enabled) else {
            bail!(
                "{path} is written so that only its author can change it; set enabled = {enabled} for {name}"
            );
        };
        if enabled && let Some(ended) = self.refuses(&text) {
            return Ok(ended);
        }
        self.write(&text)?;
        say!("{name} is switched {word}; a gateway that runs takes it over");
        Ok(Ended::Done)
    }

    /// Puts the text in the file's place, unless somebody has changed it since.
    fn write(&self, text: &str) -> anyhow::Result<()> {
        let path = self.path.display();
        if text_of(&self.path)? != self.text {
            bail!("{path} was changed meanwhile, so nothing was written; try again");
        }
        replace(&self.path, text.as_bytes()).with_context(|| format!("{path} cannot be replaced"))
    }
}

fn text_of(path: &Path) -> anyhow::Result<Option<String>> {
    let bytes = match read_at_most(path, FILE_BYTES_MAX + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => bail!("{} cannot be read: {error}", path.display()),
    };
    if bytes.len() > FILE_BYTES_MAX {
        bail!("{} has more than {FILE_BYTES_MAX} bytes", path.display());
    }
    let text = String::from_utf8(bytes).ok();
    let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(Some(text))
}
