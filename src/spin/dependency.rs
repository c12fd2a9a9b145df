//! Dependencies: what satisfies the imports of a component, and what stands before it when a trigger calls it.

use std::collections::BTreeMap;
use std::ops::Range;

use http::Uri;
use semver::VersionReq;
use serde_spanned::Spanned;

use super::app_manifest::checked;
use super::dependency_name::{DependencyName, PackageName};
use super::document::{Flaw, Item, Table};
use super::error::Problem;
use super::id::Style;
use super::lock_file::Inherit;
use super::source::{self, Source};
use crate::model::{Digest, Registry};

/// What satisfies an import of a component, or stands before a component.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    /// Where it is in the manifest.
    pub(super) span: Range<usize>,
    pub(super) provider: Provider,
    /// The export to use; the import's own name where absent.
    pub(super) export: Option<String>,
    /// What it may use of the component's capabilities, where the author has said it.
    pub(super) inherit: Option<Inherit>,
}

/// Where the WebAssembly of a dependency comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    /// A path, relative to the manifest.
    Local(String),
    /// A download.
    Url { url: Uri, digest: Digest },
    /// A package: the newest version that fits. Without a name it is the package of the import.
    Package { registry: Option<Registry>, package: Option<PackageName>, version: VersionReq },
    /// Another component of the application; there are none after normalising.
    Component(Spanned<String>),
}

/// Dependencies of a component, in the order in which they are written to the lock file.
pub(super) type Dependencies = BTreeMap<DependencyName, Dependency>;

/// Takes the `dependencies` of a component.
pub(super) fn of_component(table: &mut Table<'_>) -> Result<Dependencies, Flaw> {
    let mut dependencies = Dependencies::new();
    for (name, item) in table.table("dependencies")? {
        let (span, text) = (name.span(), name.into_inner());
        let parsed = text.parse::<DependencyName>().map_err(|_| {
            let expected = DependencyName::EXPECTED;
            Flaw::at(span.clone(), Problem::Invalid { what: "dependency", value: text.clone(), expected })
        })?;
        dependencies.insert(parsed, Dependency::parse(span, item, &Forms::OF_COMPONENTS)?);
    }
    Ok(dependencies)
}

/// Takes the `dependencies` of a trigger: lists, by role, in the order of the text.
pub(super) fn of_trigger(table: &mut Table<'_>) -> Result<Vec<(String, Vec<Dependency>)>, Flaw> {
    let mut roles = Vec::new();
    for (role, items) in table.table("dependencies")? {
        let items = items.array()?.into_iter().map(|item| Dependency::parse(item.span(), item, &Forms::OF_TRIGGERS));
        roles.push((role.into_inner(), items.collect::<Result<_, _>>()?));
    }
    Ok(roles)
}

/// What a dependency may look like: the keys of each form.
struct Forms {
    local: &'static [&'static str],
    url: &'static [&'static str],
    component: &'static [&'static str],
    package: &'static [&'static str],
    /// Whether the package has to be named: there is no import whose package it could be.
    needs_package: bool,
    expected: &'static str,
}

impl Forms {
    const OF_COMPONENTS: Self = Self {
        local: &["path", "export", "inherit_configuration"],
        url: &["url", "digest", "export", "inherit_configuration"],
        component: &["component", "export", "inherit_configuration"],
        package: &["version", "package", "registry", "export", "inherit_configuration"],
        needs_package: false,
        expected: "a version, `{ version, package, registry }`, `{ path }`, `{ url, digest }` or `{ component }`",
    };
    const OF_TRIGGERS: Self = Self {
        local: &["path", "inherit_configuration"],
        url: &["url", "digest", "inherit_configuration"],
        component: &["component", "inherit_configuration"],
        package: &["package", "version", "registry", "inherit_configuration"],
        needs_package: true,
        expected: "`{ package, version, registry }`, `{ path }`, `{ url, digest }` or `{ component }`",
    };
}

impl Dependency {
    fn parse(span: Range<usize>, item: Item<'_>, forms: &Forms) -> Result<Self, Flaw> {
        if item.is_text() && !forms.needs_package {
            let version = requirement(item.text()?)?;
            let provider = Provider::Package { registry: None, package: None, version };
            return Ok(Self { span, provider, export: None, inherit: None });
        }
        if !item.is_table() {
            return Err(item.wrong(forms.expected));
        }
        let mut table = item.table()?;
        let provider = if table.has("path") {
            table.only(forms.local)?;
            Provider::Local(source::path("path of a dependency", table.need("path")?.text()?)?)
        } else if table.has("url") || table.has("digest") {
            table.only(forms.url)?;
            let url = source::url(table.need("url")?.text()?)?;
            Provider::Url { url, digest: source::digest(table.need("digest")?.text()?)? }
        } else if table.has("component") {
            table.only(forms.component)?;
            let id = table.need("component")?.text()?;
            Provider::Component(checked("component id", Style::Kebab, id)?)
        } else {
            table.only(forms.package)?;
            let package = match forms.needs_package {
                true => Some(table.need("package")?),
                false => table.take("package"),
            };
            let package = package.map(|item| source::package(item.text()?)).transpose()?;
            let version = requirement(table.need("version")?.text()?)?;
            let registry = table.take("registry").map(|item| source::registry(item.text()?)).transpose()?;
            Provider::Package { registry, package, version }
        };
        let export = table.take("export").map(Item::text).transpose()?.map(Spanned::into_inner);
        let inherit = table.take("inherit_configuration").map(inherit).transpose()?;
        Ok(Self { span, provider, export, inherit })
    }
}

impl From<Source> for Provider {
    /// Makes a dependency of what is a component, the same version of it.
    fn from(source: Source) -> Self {
        match source {
            Source::Local(path) => Self::Local(path),
            Source::Url { url, digest } => Self::Url { url, digest },
            Source::Package { registry, package, version } => {
                Self::Package { registry, package: Some(package), version: source::exactly(&version) }
            }
        }
    }
}

/// Checks what concerns several dependencies of one component, or a dependency and its name.
pub(super) fn check(dependencies: &Dependencies) -> Result<(), Flaw> {
    for (index, (name, dependency)) in dependencies.iter().enumerate() {
        let conflict = |rule| {
            let what = format!("the dependency `{name}`");
            Err(Flaw::at(dependency.span.clone(), Problem::Conflict { what, rule }))
        };
        let package = match &dependency.provider {
            Provider::Package { package, .. } => Some(package),
            _ => None,
        };
        match name {
            DependencyName::Plain(_) if package.is_some_and(Option::is_none) => {
                return conflict("has to say its `package`, because its own name is not one of a package");
            }
            DependencyName::Package { interface: None, .. }
                if dependency.export.is_some() && !matches!(dependency.provider, Provider::Url { .. }) =>
            {
                return conflict("is a whole package, so it cannot say an `export`; name one of its interfaces");
            }
            _ => {}
        }
        if let Some((other, _)) = dependencies.iter().take(index).find(|(other, _)| other.overlaps(name)) {
            let what = format!("the dependencies `{other}` and `{name}`");
            let rule = "would satisfy the same import; let them differ in the version or the interface";
            return Err(Flaw::at(dependency.span.clone(), Problem::Conflict { what, rule }));
        }
    }
    Ok(())
}

fn requirement(text: Spanned<String>) -> Result<VersionReq, Flaw> {
    text.get_ref().parse().map_err(|_| {
        let expected = "a requirement of a version, such as `1.2`, `=1.2.3` or `>=1.2, <2`";
        Flaw::at(text.span(), Problem::Invalid { what: "version", value: text.get_ref().clone(), expected })
    })
}

fn inherit(item: Item<'_>) -> Result<Inherit, Flaw> {
    if item.is_array() {
        let sets = item.array()?.into_iter().map(|item| item.text().map(Spanned::into_inner));
        return sets.collect::<Result<_, _>>().map(Inherit::Some);
    }
    if !item.is_boolean() {
        return Err(item.wrong("`true`, `false` or an array of strings"));
    }
    Ok(if item.boolean()? { Inherit::All } else { Inherit::default() })
}
