//! The action for GitHub's runners: what it promises about secrets, and its steps, run as a runner runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use spinreg::Digest;

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::root;
use crate::support::scenario::app;

#[derive(Deserialize)]
struct Action {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
    runs: Runs,
}

#[derive(Deserialize)]
struct Input {
    description: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
}

#[derive(Deserialize)]
struct Output {
    value: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    id: String,
    shell: String,
    #[serde(rename = "if")]
    condition: Option<String>,
    env: BTreeMap<String, String>,
    run: String,
}

fn action() -> Action {
    let text = std::fs::read_to_string(root("action.yml")).expect("a file of the crate");
    serde_saphyr::from_str(&text).expect("an action")
}

/// What a runner knows while it carries an action out.
struct Runner<'a> {
    cli: &'a Cli,
    inputs: BTreeMap<&'a str, &'a str>,
    /// `STEP.NAME` and what that step has put out.
    outputs: BTreeMap<String, String>,
}

impl Runner<'_> {
    /// Says what an expression comes to: `inputs.x`, `steps.x.outputs.y`, or a directory.
    fn value(&self, text: &str, action: &Action) -> String {
        let Some(name) = text.strip_prefix("${{ ").and_then(|rest| rest.strip_suffix(" }}")) else {
            return text.to_owned();
        };
        if let Some(input) = name.strip_prefix("inputs.") {
            let default = action.inputs[input].default.as_deref();
            return self.inputs.get(input).copied().or(default).unwrap_or_default().to_owned();
        }
        if let Some((step, output)) = name.strip_prefix("steps.").and_then(|rest| rest.split_once(".outputs.")) {
            return self.outputs.get(&format!("{step}.{output}")).cloned().unwrap_or_default();
        }
        match name {
            "github.action_path" => env!("CARGO_MANIFEST_DIR").to_owned(),
            "runner.temp" => self.cli.path("tmp").display().to_string(),
            other => panic!("`{other}` is nothing that a runner knows"),
        }
    }

    /// Runs all steps; returns what the action puts out, or what the step that failed has said.
    fn carry_out(mut self, action: &Action) -> Result<BTreeMap<String, String>, String> {
        for step in &action.runs.steps {
            if let Some(condition) = &step.condition {
                assert_eq!(condition, "${{ inputs.username != '' }}", "the only condition that is understood here");
                if self.inputs.get("username").is_none_or(|name| name.is_empty()) {
                    continue;
                }
            }
            let put_out = self.cli.path("tmp/output");
            std::fs::write(&put_out, "").expect("a file in a temporary directory");
            let mut bash = Command::new("bash");
            bash.args(["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", &step.run]).env_clear();
            bash.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.cli.path("home"));
            bash.env("GITHUB_OUTPUT", &put_out).current_dir(self.cli.path("work"));
            bash.envs(step.env.iter().map(|(name, text)| (name, self.value(text, action))));
            let output = bash.output().expect("bash is there");
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            let lines = std::fs::read_to_string(&put_out).expect("a file in a temporary directory");
            for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
                self.outputs.insert(format!("{}.{name}", step.id), value.to_owned());
            }
        }
        let outputs = action.outputs.iter();
        Ok(outputs.map(|(name, output)| (name.clone(), self.value(&output.value, action))).collect())
    }
}

fn carry_out(cli: &Cli, inputs: &[(&str, &str)]) -> Result<BTreeMap<String, String>, String> {
    let program = env!("CARGO_BIN_EXE_spinreg");
    let inputs = inputs.iter().copied().chain([("program", program)]).collect();
    Runner { cli, inputs, outputs: BTreeMap::new() }.carry_out(&action())
}

#[test]
fn nothing_that_is_passed_in_becomes_a_part_of_a_script() {
    let Action { inputs, runs, .. } = action();
    assert_eq!(runs.using, "composite");
    for Step { id, shell, env, run, .. } in &runs.steps {
        assert_eq!(shell, "bash", "{id}");
        assert!(!run.contains("${{"), "{id}: a script is what stands here, whatever is passed in");
        for (name, value) in env {
            assert!(value.starts_with("${{ ") && value.ends_with(" }}"), "{id}: {name}");
            let used = [format!("${name}"), format!("${{{name}")].iter().any(|form| run.contains(form.as_str()));
            assert!(used, "{id}: {name} is not used");
        }
        // The password goes through a pipe: `printf` is the shell's own, so that no command line has it.
        let lines = run.lines().filter(|line| line.contains("LOGIN_PASSWORD"));
        assert!(lines.clone().all(|line| line.trim_start().starts_with("printf '%s' \"$LOGIN_PASSWORD\" |")), "{id}");
        assert_eq!(lines.count(), usize::from(env.values().any(|value| value.contains("inputs.password"))), "{id}");
    }
    for (name, input) in &inputs {
        assert!(!input.description.is_empty() && (input.required || input.default.is_some()), "{name}");
        let used =
            runs.steps.iter().any(|step| step.env.values().any(|value| *value == format!("${{{{ inputs.{name} }}}}")));
        assert!(used, "the input `{name}` is not used");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_logs_in_pushes_tags_and_tells_the_digest() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).guarded(&Guard::basic("ada", "secret of ada")).start().await;
    let reference = format!("{}/team/app:v1", front.registry());
    let site = app("static-site");
    let inputs = [
        ("reference", reference.as_str()),
        ("from", &site),
        ("tags", "latest stable\nv1.0"),
        ("flags", "--annotation team=web and more\n--profile=\n"),
        ("username", "ada"),
        ("password", "secret of ada"),
    ];
    let without = carry_out(&cli, &inputs[..3]).expect_err("nobody is logged in");
    assert!(without.contains("hint: log in"), "{without}");
    let outputs = carry_out(&cli, &[&inputs[..3], &inputs[4..]].concat()).expect("a push");
    let digest: Digest = outputs["digest"].parse().expect("a digest");
    assert_eq!(outputs["reference"], format!("{}/team/app@{digest}", front.registry()));
    for tag in ["v1", "latest", "stable", "v1.0"] {
        let link = cli.run(["resolve", &format!("{}/team/app:{tag}", registry.address())]).await.success();
        assert!(link.trim_end().ends_with(&digest.to_string()), "{tag}: {link}");
    }
    let annotated = carry_out(&cli, &[&inputs[..2], &[("flags", "--annotation team=web and more\n")]].concat());
    assert_ne!(annotated.expect("a push")["digest"], digest.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_in_is_not_run() {
    let cli = Cli::new();
    let registry = Embedded::start().await;
    let site = app("static-site");
    let reference = registry.reference("app:v1");
    for (name, value) in [
        ("reference", "$(touch pwned)"),
        ("from", "`touch pwned`"),
        ("tags", "a;touch${IFS}pwned $(touch${IFS}pwned)"),
        ("flags", "--annotation a=$(touch pwned)\n; touch pwned"),
        ("reference", "--help"),
    ] {
        let mut inputs = vec![("reference", reference.as_str()), ("from", site.as_str())];
        inputs.push((name, value));
        assert!(carry_out(&cli, &inputs).is_err(), "{name}: {value}");
        assert!(!Path::new(&cli.path("work/pwned")).exists(), "{name}: {value}");
    }
}
