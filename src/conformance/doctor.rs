//! A short, harmless look at one repository: what the registry can do there, and what we may do.

use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::uri::Scheme;
use http::{Method, Response, StatusCode, Uri};

use super::answer::Answer;
use super::doctor_readings as read;
use super::probe::Probe;
use crate::auth::{Authorizer, Found, Proof};
use crate::model::printable::line;
use crate::model::{Digest, Identifier, Manifest, MediaType, Name, Registry};
use crate::transport::headers;

/// Whom to examine, and as whom.
pub struct Patient {
    /// Asks with what credentials there are.
    pub probe: Probe,
    /// The same, for what is no plain request of the API.
    pub authorizer: Authorizer,
    /// The URI of the API, `…/v2/`.
    pub base: Uri,
    /// What a `GET` of that, without credentials, was answered.
    pub ping: Response<()>,
    /// The repository.
    pub name: Name,
    /// What to look at in it.
    pub identifier: Identifier,
    /// The credentials that there are.
    pub found: Option<Found>,
    /// How the connection is protected, for people.
    pub protection: String,
}

/// What the examination found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The registry.
    pub registry: Registry,
    /// The repository.
    pub repository: Name,
    /// What was looked at in it.
    pub reference: String,
    /// The findings, in the order of [`Topic`].
    pub points: Vec<Point>,
    /// How this tool will talk to the registry, a sentence each.
    pub habits: Vec<String>,
    /// What the registry says with `Warning`.
    pub warnings: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// About what.
    pub topic: Topic,
    /// Whether it is so.
    pub reply: Reply,
    /// What was seen, or why it cannot be known.
    pub text: String,
}

/// What is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Topic {
    /// Whether the registry answers as one.
    Reachable,
    /// How the connection is protected.
    Tls,
    /// Who we are to it.
    Account,
    /// Whether we may pull.
    Pull,
    /// Whether we may push.
    Push,
    /// Whether an upload can be cancelled.
    Cancel,
    /// Whether blobs can go up in pieces, and how large these have to be.
    Chunks,
    /// Whether blobs can be mounted instead of sent.
    Mount,
    /// Whether downloads can go on where they broke.
    Resume,
    /// Whether it lists what refers to a manifest.
    Referrers,
    /// Whether tags can be deleted.
    TagDeletion,
    /// Whether content may be named by SHA-512.
    Sha512,
    /// How large a manifest may be.
    ManifestLimit,
    /// How often it may be asked.
    RateLimit,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It cannot be known without leaving something behind, or the answer tells nothing.
    Unknown,
}

impl Topic {
    /// The key in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Tls => "tls",
            Self::Account => "account",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Cancel => "cancel",
            Self::Chunks => "chunks",
            Self::Mount => "mount",
            Self::Resume => "resume",
            Self::Referrers => "referrers",
            Self::TagDeletion => "tag-deletion",
            Self::Sha512 => "sha512",
            Self::ManifestLimit => "manifest-limit",
            Self::RateLimit => "rate-limit",
        }
    }
}

impl Reply {
    /// The word in text and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl Diagnosis {
    /// Returns what was found out about a topic.
    pub fn reply(&self, topic: Topic) -> Reply {
        self.points.iter().find(|point| point.topic == topic).map_or(Reply::Unknown, |point| point.reply)
    }
}

/// Examines a repository. Nothing is pushed, and nothing deleted but the upload session that this opens itself.
///
/// **Requests**: some ten, none of which moves more than a manifest. Credentials are proved as `login` does it. On Docker
/// Hub, which counts what is read, the manifest is asked for by `HEAD` alone. Whatever goes wrong is a finding.
pub async fn examine(patient: &Patient) -> Diagnosis {
    let mut notes = Notes::default();
    notes.point(Topic::Reachable, read::ping(&patient.ping, &patient.base));
    let protected = if patient.base.scheme() == Some(&Scheme::HTTPS) { Reply::Yes } else { Reply::No };
    notes.point(Topic::Tls, (protected, patient.protection.clone()));
    let account = account(patient).await;
    notes.point(Topic::Account, account);
    let blob = pull(patient, &mut notes).await;
    push(patient, blob.as_ref(), &mut notes).await;
    lists(patient, &mut notes).await;
    notes.diagnosis(patient)
}

/// Cancels what an examination that was dropped has left open. Returns what may stay all the same, a sentence each.
///
/// **Requests**: a `DELETE` for each upload session, of which there is one at most.
pub async fn abandon(patient: &Patient) -> Vec<String> {
    let open = patient.probe.give_up().await.into_iter();
    let unnamed = patient.probe.unnamed().into_iter();
    open.map(|url| format!("the upload that was begun could not be cancelled: {}", line(&url)))
        .chain(
            unnamed
                .map(|post| format!("`POST {}` may have begun an upload that stays until it expires", line(&post.url))),
        )
        .collect()
}

async fn account(patient: &Patient) -> (Reply, String) {
    let Some(found) = &patient.found else { return read::nobody(&patient.ping) };
    let proof = patient.authorizer.prove(patient.probe.registry(), &patient.base, found).await;
    let who = match found.credential.username() {
        "" => "a token".to_owned(),
        name => format!("`{name}`"),
    };
    let who = format!("{who}, from {}", found.source);
    match proof {
        Ok(Proof::Verified) => (Reply::Yes, format!("{who}: accepted")),
        Ok(Proof::NotAsked) => (Reply::Unknown, format!("{who}: not asked for at `/v2/`, and so not sent there")),
        Err(error) => (Reply::No, format!("{who}: {}", read::sentence(&error))),
    }
}

/// Finds out about pulls; returns a blob that is there, if one is known then.
async fn pull(patient: &Patient, notes: &mut Notes) -> Option<Digest> {
    let Patient { probe, name, identifier, .. } = patient;
    let target = format!("/v2/{name}/manifests/{identifier}");
    let asked =
        |method| MANIFESTS.iter().fold(probe.request(method, &target), |asking, kind| asking.header(ACCEPT, kind));
    let head = notes.heard(asked(Method::HEAD).send().await);
    notes.point(Topic::RateLimit, read::rate_limit(&head));
    let mut reply = read::pull(&head, identifier);
    if reply.0 == Reply::Unknown {
        let tags = notes.heard(probe.request(Method::GET, &format!("/v2/{name}/tags/list?n=1")).send().await);
        reply = read::list(&tags, reply);
    }
    notes.point(Topic::Pull, reply);
    if !head.is(StatusCode::OK) {
        notes.point(Topic::Resume, (Reply::Unknown, "there is no blob to try it with".to_owned()));
        return None;
    }
    if probe.registry().is_docker_hub() {
        let why = "not tried: reading the manifest would count as a pull";
        notes.point(Topic::Resume, (Reply::Unknown, why.to_owned()));
        return None;
    }
    let manifest = asked(Method::GET).at_most(MAX_MANIFEST).send().await;
    let parsed =
        Manifest::parse(manifest.body.clone(), manifest.media_type().and_then(|text| text.parse::<MediaType>().ok()));
    let blob = parsed.ok().and_then(|manifest| manifest.blobs().max_by_key(|blob| blob.size).cloned());
    let Some(blob) = blob.filter(|blob| blob.size > 1) else {
        notes.point(Topic::Resume, (Reply::Unknown, "there is no blob to try it with".to_owned()));
        return None;
    };
    let ranged = probe.request(Method::GET, &format!("/v2/{name}/blobs/{}", blob.digest));
    let ranged = notes.heard(ranged.header(RANGE, "bytes=1-1").at_most(1).send().await);
    notes.point(Topic::Resume, read::resume(&ranged));
    Some(blob.digest)
}

/// Finds out about pushes: opens an upload session, sends one byte into it, and cancels it.
async fn push(patient: &Patient, blob: Option<&Digest>, notes: &mut Notes) {
    let Patient { probe, name, .. } = patient;
    let uploads = format!("/v2/{name}/blobs/uploads/");
    let opened = notes.heard(probe.request(Method::POST, &uploads).header(CONTENT_LENGTH, "0").send().await);
    let reply = read::push(&opened);
    let may_push = reply.0 == Reply::Yes;
    notes.point(Topic::Push, reply);
    let session = opened.place().ok().filter(|_| may_push);
    let Some(session) = session else {
        for topic in [Topic::Cancel, Topic::Chunks, Topic::Mount] {
            notes.point(topic, (Reply::Unknown, "not tried: no upload could be begun".to_owned()));
        }
        return;
    };
    let mut place = session;
    if read::chunk_min(&opened).is_none_or(|bytes| bytes <= 1) {
        let patch = probe.request(Method::PATCH, &place).within(name).header(CONTENT_RANGE, "0-0").body(&b"0"[..]);
        let patched = notes.heard(patch.send().await);
        notes.point(Topic::Chunks, read::chunks(&opened, &patched));
        if let Ok(next) = patched.place() {
            place = next;
        }
    } else {
        notes.point(Topic::Chunks, read::chunks_announced(&opened));
    }
    let cancelled = notes.heard(probe.request(Method::DELETE, &place).within(name).send().await);
    notes.point(Topic::Cancel, read::cancel(&cancelled));
    let Some(blob) = blob else {
        notes.point(Topic::Mount, (Reply::Unknown, "there is no blob to try it with".to_owned()));
        return;
    };
    // What is mounted is where it is mounted to already: nothing changes.
    let mount = format!("{uploads}?mount={}&from={}", read::encoded(&blob.to_string()), read::encoded(name.as_str()));
    let mounted = notes.heard(probe.request(Method::POST, &mount).header(CONTENT_LENGTH, "0").send().await);
    if let (true, Ok(place)) = (mounted.is(StatusCode::ACCEPTED), mounted.place()) {
        notes.heard(probe.request(Method::DELETE, &place).within(name).send().await);
    }
    notes.point(Topic::Mount, read::mount(&mounted));
}

/// Finds out what can be known by asking alone.
async fn lists(patient: &Patient, notes: &mut Notes) {
    let Patient { probe, name, .. } = patient;
    let kind = read::encoded(NO_KIND);
    let target = format!("/v2/{name}/referrers/{}?artifactType={kind}", Digest::of(b""));
    let referrers = notes.heard(probe.request(Method::GET, &target).send().await);
    notes.point(Topic::Referrers, read::referrers(&referrers));
    let nothing = Digest::of_with(crate::model::Algorithm::Sha512, NO_KIND.as_bytes());
    let sha512 = notes.heard(probe.request(Method::HEAD, &format!("/v2/{name}/blobs/{nothing}")).send().await);
    notes.point(Topic::Sha512, read::sha512(&sha512));
    let options = probe.request(Method::OPTIONS, &format!("/v2/{name}/manifests/{NO_TAG}")).send().await;
    notes.point(Topic::TagDeletion, read::tag_deletion(&options));
    let limit = "not stated; the specification has registries take 4 MiB at least";
    notes.point(Topic::ManifestLimit, (Reply::Unknown, limit.to_owned()));
}

/// What has been found out so far.
#[derive(Default)]
struct Notes {
    points: Vec<Point>,
    warnings: Vec<String>,
}

impl Notes {
    fn point(&mut self, topic: Topic, (reply, text): (Reply, String)) {
        self.points.push(Point { topic, reply, text });
    }

    /// Takes down what people should know, whatever the answer is about.
    fn heard(&mut self, answer: Answer) -> Answer {
        for text in headers::warnings(&answer.headers) {
            if !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
        answer
    }

    fn diagnosis(mut self, patient: &Patient) -> Diagnosis {
        self.points.sort_by_key(|point| point.topic);
        Diagnosis {
            registry: patient.probe.registry().clone(),
            repository: patient.name.clone(),
            reference: patient.identifier.to_string(),
            habits: read::habits(&self.points, patient.probe.registry()),
            points: self.points,
            warnings: self.warnings,
        }
    }
}

/// What a manifest may be, as every client asks for it.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// An artifact type and a content that nobody has.
const NO_KIND: &str = "application/vnd.spinreg.doctor.v1";
/// A tag that nobody has.
const NO_TAG: &str = "spinreg-doctor";
/// Bytes of a manifest that are read.
const MAX_MANIFEST: usize = 8 << 20;
