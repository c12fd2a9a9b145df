//! The tools, and how each is told to push and to pull.
//!
//! Every tool runs as it comes: with its own number of transfers, its own cache if it has one. curl is no peer but the
//! yardstick: it moves the same blobs, 16 at a time, and checks nothing. `spinreg copy`, `crane` and `oras cp` push an image
//! layout whose digests they believe, so they do not hash.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;

use crate::job::Job;
use crate::measure::Cost;

/// A tool that can push and pull.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// Pushes the job's application or layout.
    pub push: fn(&Job) -> Result<Cost>,
    /// Pulls into the job's room.
    pub pull: fn(&Job) -> Result<Cost>,
}

/// All of them, the yardstick first.
pub const ALL: [Tool; 10] = [
    Tool { name: "curl", push: curl_push, pull: curl_pull },
    Tool { name: "spinreg", push: spinreg_push, pull: spinreg_pull },
    Tool { name: "spinreg copy", push: spinreg_copy_push, pull: spinreg_copy_pull },
    Tool { name: "skopeo", push: skopeo_push, pull: skopeo_pull },
    Tool { name: "crane", push: crane_push, pull: crane_pull },
    Tool { name: "regctl", push: regctl_push, pull: regctl_pull },
    Tool { name: "oras", push: oras_push, pull: oras_pull },
    Tool { name: "oras cp", push: oras_copy_push, pull: oras_copy_pull },
    Tool { name: "as Spin does", push: spin_push, pull: spin_pull },
    Tool { name: "spinreg --http1", push: spinreg_push_http1, pull: spinreg_pull_http1 },
];

fn spinreg_push(job: &Job) -> Result<Cost> {
    spinreg(job, &["push", "--quiet", "-f", &job.app.to_string_lossy()])
}

fn spinreg_pull(job: &Job) -> Result<Cost> {
    spinreg(job, &["pull", "--quiet", "--cache-dir", &job.room.join("cache").to_string_lossy()])
}

/// Over several connections, where one would do: with TLS alone that makes a difference.
fn spinreg_push_http1(job: &Job) -> Result<Cost> {
    spinreg(job, &["push", "--quiet", "--http1", "-f", &job.app.to_string_lossy()])
}

fn spinreg_pull_http1(job: &Job) -> Result<Cost> {
    spinreg(job, &["pull", "--quiet", "--http1", "--cache-dir", &job.room.join("cache").to_string_lossy()])
}

fn spinreg(job: &Job, arguments: &[&str]) -> Result<Cost> {
    let mut command = job.command(&job.programs.spinreg);
    command.args(arguments).arg(job.reference());
    match job.authority {
        Some(authority) => command.arg("--ca-file").arg(authority),
        None => command.arg("--plain-http"),
    };
    job.run(&command)
}

fn spinreg_copy(job: &Job, from: &str, to: &str, side: &str) -> Result<Cost> {
    let mut command = job.command(&job.programs.spinreg);
    command.args(["copy", "--quiet", from, to]);
    match job.authority {
        Some(authority) => command.arg(format!("--{side}-ca-file")).arg(authority),
        None => command.arg(format!("--{side}-plain-http")),
    };
    job.run(&command)
}

fn spinreg_copy_push(job: &Job) -> Result<Cost> {
    spinreg_copy(job, &format!("oci:{}:v1", job.layout.display()), &job.reference(), "to")
}

fn spinreg_copy_pull(job: &Job) -> Result<Cost> {
    spinreg_copy(job, &job.reference(), &format!("oci:{}/out:v1", job.room.display()), "from")
}

fn skopeo_push(job: &Job) -> Result<Cost> {
    let mut command = job.command("/usr/bin/skopeo");
    command.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
    command.arg(format!("oci:{}:v1", job.layout.display())).arg(format!("docker://{}", job.reference()));
    job.run(&command)
}

fn skopeo_pull(job: &Job) -> Result<Cost> {
    let mut command = job.command("/usr/bin/skopeo");
    command.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"]);
    command.arg(format!("docker://{}", job.reference())).arg(format!("oci:{}/out:v1", job.room.display()));
    job.run(&command)
}

fn crane_push(job: &Job) -> Result<Cost> {
    let mut command = job.command(job.programs.peers.join("crane"));
    command.args(["push", "--insecure"]).arg(job.layout).arg(job.reference());
    job.run(&command)
}

fn crane_pull(job: &Job) -> Result<Cost> {
    let mut command = job.command(job.programs.peers.join("crane"));
    command.args(["pull", "--insecure", "--format=oci"]).arg(job.reference()).arg(job.room.join("out"));
    job.run(&command)
}

fn regctl(job: &Job) -> std::process::Command {
    let mut command = job.command(job.programs.peers.join("regctl"));
    let tls = if job.authority.is_some() { "insecure" } else { "disabled" };
    command.args(["--verbosity", "error", "--host", &format!("reg={},tls={tls}", job.registry), "image", "copy"]);
    command
}

fn regctl_push(job: &Job) -> Result<Cost> {
    let mut command = regctl(job);
    command.arg(format!("ocidir://{}:v1", job.layout.display())).arg(job.reference());
    job.run(&command)
}

fn regctl_pull(job: &Job) -> Result<Cost> {
    let mut command = regctl(job);
    command.arg(job.reference()).arg(format!("ocidir://{}/out:v1", job.room.display()));
    job.run(&command)
}

/// Pushes the files of the application, each as a layer.
fn oras_push(job: &Job) -> Result<Cost> {
    let mut command = job.command(job.programs.peers.join("oras"));
    command.current_dir(job.app).args(["push", "--no-tty", how_oras_connects(job, ""), &job.reference()]);
    for directory in [".", "assets"] {
        let mut names = Vec::new();
        for entry in fs::read_dir(job.app.join(directory))? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != "spin.toml" {
                names.push(Path::new(directory).join(entry.file_name()));
            }
        }
        names.sort();
        command.args(names);
    }
    job.run(&command)
}

/// `oras pull` leaves out layers without a title; `oras cp` does not.
fn oras_pull(job: &Job) -> Result<Cost> {
    oras_copy_pull(job)
}

fn oras_copy_push(job: &Job) -> Result<Cost> {
    let mut command = job.command(job.programs.peers.join("oras"));
    command.args(["cp", "--no-tty", "--from-oci-layout", how_oras_connects(job, "to")]);
    command.arg(format!("{}:v1", job.layout.display())).arg(job.reference());
    job.run(&command)
}

fn oras_copy_pull(job: &Job) -> Result<Cost> {
    let mut command = job.command(job.programs.peers.join("oras"));
    command.args(["cp", "--no-tty", "--to-oci-layout", how_oras_connects(job, "from")]);
    command.arg(job.reference()).arg(format!("{}/out:v1", job.room.display()));
    job.run(&command)
}

fn how_oras_connects(job: &Job, side: &str) -> &'static str {
    match (job.authority.is_some(), side) {
        (false, "to") => "--to-plain-http",
        (false, "from") => "--from-plain-http",
        (false, _) => "--plain-http",
        (true, "to") => "--to-insecure",
        (true, "from") => "--from-insecure",
        (true, _) => "--insecure",
    }
}

fn spin(job: &Job, doing: &str, directory: &Path) -> Result<Cost> {
    let missing = || Error::other("the program that does as Spin does was not built");
    let mut command = job.command(job.programs.as_spin_does.as_ref().ok_or_else(missing)?);
    command.arg(doing).arg(job.reference()).arg(directory);
    if let Some(authority) = job.authority {
        command.arg(authority);
    }
    job.run(&command)
}

fn spin_push(job: &Job) -> Result<Cost> {
    spin(job, "push", job.layout)
}

fn spin_pull(job: &Job) -> Result<Cost> {
    spin(job, "pull", &job.room.join("cache"))
}

fn curl(job: &Job, configuration: &str) -> Result<Cost> {
    let file = job.room.join("curl.conf");
    fs::write(&file, configuration)?;
    let mut command = job.command("/usr/bin/curl");
    command.args(["--silent", "--show-error", "--fail", "--parallel", "--parallel-max", "16", "--config"]).arg(&file);
    if let Some(authority) = job.authority {
        command.arg("--cacert").arg(authority);
    }
    job.run(&command)
}

fn curl_pull(job: &Job) -> Result<Cost> {
    let (url, contents) = (job.url(), job.contents()?);
    let out = job.room.join("out");
    fs::create_dir_all(&out)?;
    // Some registries show a manifest to those alone who say that they take it.
    let accepted = format!("header = \"Accept: {}\"\n", contents.media_type);
    let manifest =
        format!("url = \"{url}/manifests/{}\"\noutput = \"{}/manifest\"\n{accepted}", job.tag, out.display());
    let manifest = curl(job, &manifest)?;
    let one = |digest: &String| format!("url = \"{url}/blobs/{digest}\"\noutput = \"{}/{digest}\"\n", out.display());
    let blobs = curl(job, &contents.blobs.iter().map(one).collect::<String>())?;
    Ok(manifest.then(blobs))
}

fn curl_push(job: &Job) -> Result<Cost> {
    let (url, contents) = (job.url(), job.contents()?);
    let heads = job.room.join("heads");
    fs::create_dir_all(&heads)?;
    let open = |digest: &String| {
        format!(
            "next\nfail\nurl = \"{url}/blobs/uploads/\"\nrequest = POST\ndata = \"\"\nheader = \"Content-Length: 0\"\ndump-header = \"{}/{digest}\"\noutput = /dev/null\n",
            heads.display()
        )
    };
    let opened = curl(job, &contents.blobs.iter().map(open).collect::<String>())?;
    let mut sends = String::new();
    for digest in &contents.blobs {
        let head = fs::read_to_string(heads.join(digest))?;
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        let location = location.ok_or_else(|| Error::other("an upload session has no `Location`"))?;
        let location = match location.strip_prefix('/') {
            Some(path) => format!("{}/{path}", url.split("/v2/").next().unwrap_or_default()),
            None => location,
        };
        let join = if location.contains('?') { '&' } else { '?' };
        sends += &format!(
            "next\nfail\nurl = \"{location}{join}digest={digest}\"\nupload-file = \"{}\"\nheader = \"Content-Type: application/octet-stream\"\n\
             header = \"Expect:\"\noutput = /dev/null\n",
            job.blob(digest).display(),
        );
    }
    let sent = curl(job, &sends)?;
    let manifest = curl(
        job,
        &format!(
            "url = \"{url}/manifests/{}\"\nupload-file = \"{}\"\nheader = \"Content-Type: {}\"\noutput = /dev/null\n",
            job.tag,
            job.blob(&contents.manifest).display(),
            contents.media_type,
        ),
    )?;
    Ok(opened.then(sent).then(manifest))
}
