//! `duet plugin inspect`: what a component says of itself, read without running it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use duet_rules::contract::{self, CONTRACT};
use duet_rules::hooks::Mode;
use duet_rules::manifest::{Manifest, SECTION};
use duet_rules::plugins_toml::{Wish, draft, name_is_valid, needed, one_line};
use duet_rules::toml_file::Problem;
use serde_json::json;

use super::tell;
use crate::cli::Ended;
use crate::cli::answer::at;
use crate::cli::place::Gateway;
use crate::config::Flags;
use crate::plugin::{Component, outline};

#[derive(clap::Args)]
pub(in crate::cli) struct Named {
    /// The .wasm file, or the name of a plugin at work
    component: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(named: &Named) -> anyhow::Result<Ended> {
    let name = named.component.to_str().filter(|name| name_is_valid(name));
    match name.filter(|_| !named.component.exists()) {
        Some(name) => at_work(name, named).await,
        None => of_file(named),
    }
}

async fn at_work(name: &str, named: &Named) -> anyhow::Result<Ended> {
    let plugins = Gateway::running(&named.flags)?.list("plugins").await?;
    let plugin = plugins.iter().find(|plugin| at(plugin, "/name") == name);
    let plugin = plugin.with_context(|| {
        format!("there is neither a file nor a plugin {name}; duet plugin list has the plugins")
    })?;
    if named.json {
        say!("{plugin:#}");
    } else {
        tell(plugin);
    }
    Ok(Ended::Done)
}

fn of_file(named: &Named) -> anyhow::Result<Ended> {
    let inspected = match Inspected::read(&named.component)? {
        Ok(inspected) => inspected,
        Err(problems) => return Ok(told(&problems)),
    };
    let Inspected {
        manifest,
        component,
        imports,
        refusal,
    } = &inspected;
    if named.json {
        let told = json!({
            "manifest": manifest,
            "digest": component.digest,
            "bytes": component.bytes.len(),
            "imports": imports,
            "contract": CONTRACT,
            "problem": refusal.as_ref().map(Problem::to_string),
        });
        say!("{told:#}");
        return Ok(match refusal {
            Some(_) => Ended::Problems,
            None => Ended::Done,
        });
    }
    inspected.tell();
    if let Some(problem) = refusal {
        say!("");
        return Ok(told(std::slice::from_ref(problem)));
    }
    let path = named.component.display().to_string();
    let wish = Wish {
        name: &manifest.name,
        component: &path,
        business: None,
        settings: &[],
    };
    say!(
        "\nTo switch it on: duet plugin enable {path}\nOr add to plugins.toml, then duet check:\n"
    );
    say!("{}", draft(manifest, imports, &wish).trim_end());
    Ok(Ended::Done)
}

/// Tells why a component is of no use.
pub(super) fn told(problems: &[Problem]) -> Ended {
    for problem in problems {
        say!("{problem}");
    }
    Ended::Problems
}

/// A component and what it says of itself.
pub(super) struct Inspected {
    pub(super) manifest: Manifest,
    pub(super) imports: Vec<String>,
    component: Component,
    /// That this gateway does not serve its contract.
    refusal: Option<Problem>,
}

impl Inspected {
    /// The inner error is what is wrong with its manifest.
    pub(super) fn read(file: &Path) -> anyhow::Result<Result<Inspected, Vec<Problem>>> {
        let path = file.display().to_string();
        let component = Component::read(file).with_context(|| format!("cannot read {path}"))?;
        let outside = outline(&component.bytes).map_err(|error| {
            anyhow::anyhow!(
                "{path} is no plugin: {error}; build it for wasm32-wasip2, or with the SDK of its language"
            )
        })?;
        let [section] = outside.manifests.as_slice() else {
            bail!(
                "{path} has {} sections called {SECTION}, one is needed; build it with the SDK, which embeds the manifest",
                outside.manifests.len()
            );
        };
        let manifest = match Manifest::parse(&path, section) {
            Ok(manifest) => manifest,
            Err(problems) => return Ok(Err(problems)),
        };
        let refusal = contract::refusal(&manifest.contract, &outside.uses());
        let refusal = refusal.map(|(message, remedy)| Problem {
            file: path,
            line: 1,
            column: 1,
            message: format!("the plugin {message}"),
            remedy,
        });
        Ok(Ok(Inspected {
            manifest,
            imports: outside.imports,
            component,
            refusal,
        }))
    }

    /// Who it is, what it gets, and what it asks for with its reasons.
    pub(super) fn tell(&self) {
        let Inspected {
            manifest,
            component,
            imports,
            ..
        } = self;
        say!(
            "{} {}, {} bytes, SHA-256 {}",
            manifest.name,
            manifest.version,
            component.bytes.len(),
            component.digest
        );
        if !manifest.description.is_empty() {
            say!("  {}", one_line(&manifest.description));
        }
        say!(
            "  built for contract {}; this gateway speaks {CONTRACT}",
            manifest.contract
        );
        if manifest.store_schema != 1 {
            say!("  keeps its store by schema {}", manifest.store_schema);
        }
        let events: Vec<String> = manifest.events.iter().map(ToString::to_string).collect();
        say!("  gets {}", events.join(", "));
        let needed = needed(imports);
        if needed.is_empty() {
            say!("  needs no grant: it can write to its log and read its settings and the clock");
        }
        for interface in needed {
            let permission = manifest.permissions.get(interface.name);
            let reason = permission.map_or("it gives no reason", |permission| &permission.reason);
            say!("  asks for {}: {}", interface.name, one_line(reason));
            for host in permission.into_iter().flat_map(|told| &told.hosts) {
                say!("    calls {}", one_line(host));
            }
            for (secret, what) in permission.into_iter().flat_map(|told| &told.secrets) {
                say!(
                    "    uses the secret {secret}, which it never sees: {}",
                    one_line(what)
                );
            }
        }
        for hook in &manifest.hooks {
            let proof = match &hook.signature {
                Some(scheme) => one_line(&scheme.told()),
                None => "by anybody".to_owned(),
            };
            let answers = match hook.mode {
                Mode::Event => "",
                Mode::Answer => ", and answers",
            };
            say!(
                "  is called at /hooks/<name>/{}, {proof}{answers}: {}",
                hook.path,
                one_line(&hook.reason)
            );
        }
    }
}
