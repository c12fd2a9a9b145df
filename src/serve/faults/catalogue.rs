//! Every fault, described: for `--fault help`, for the documentation, and for the proof that each can be noticed.

/// A fault that there is.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// How it is called, with its argument: `cut=N`.
    pub form: &'static str,
    /// What it does, in a sentence.
    pub does: &'static str,
    /// Whether it changes answers only, so that `when` may choose them.
    pub of_answers: bool,
    /// How it may be used.
    pub examples: &'static [Example],
}

/// A use of faults, and which precise checks of `spinreg conformance` it turns red.
#[derive(Clone, Copy, Debug, Default)]
pub struct Example {
    /// What to give to `--fault`, once for each.
    pub faults: &'static [&'static str],
    /// The checks that are broken by it, and no others.
    pub breaks: &'static [&'static str],
    /// The checks that find the registry to do without what they check.
    pub lacks: &'static [&'static str],
    /// The checks that cannot be made any more, whatever is done; `*` stands for all that another one's failure keeps
    /// from being made.
    pub blocks: &'static [&'static str],
}

/// Returns every fault.
pub fn catalogue() -> &'static [Known] {
    CATALOGUE
}

const fn fault(form: &'static str, does: &'static str, examples: &'static [Example]) -> Known {
    Known { form, does, of_answers: false, examples }
}

const fn of_answers(form: &'static str, does: &'static str, examples: &'static [Example]) -> Known {
    Known { form, does, of_answers: true, examples }
}

const fn breaks(faults: &'static [&'static str], breaks: &'static [&'static str]) -> Example {
    Example { faults, breaks, lacks: &[], blocks: &[] }
}

const fn lacks(faults: &'static [&'static str], lacks: &'static [&'static str]) -> Example {
    Example { faults, breaks: &[], lacks, blocks: &[] }
}

const CATALOGUE: &[Known] = &[
    of_answers(
        "cut=N",
        "an answer breaks off after N bytes of its body",
        &[breaks(
            &["cut=100,method=GET,path=*/blobs/*,without=range,when=200"],
            &[
                "blob.get",
                "upload.location",
                "upload.post-only",
                "upload.chunked",
                "upload.put-chunk",
                "mount.location",
            ],
        )],
    ),
    of_answers(
        "close",
        "the connection ends instead of an answer",
        &[breaks(&["close,path=*/tags/list?n=*"], &["tags.n", "tags.n-zero", "tags.pages"])],
    ),
    of_answers(
        "reset[=N]",
        "the connection is reset after N bytes of an answer's body, or instead of an answer",
        &[breaks(&["reset=10,method=GET,path=*/tags/list?n=0"], &["tags.n-zero"])],
    ),
    of_answers(
        "stall[=N]",
        "an answer never goes on after N bytes of its body, or never begins",
        &[breaks(&["stall=10,method=GET,path=*/tags/list?n=0"], &["tags.n-zero"])],
    ),
    of_answers(
        "corrupt[=N]",
        "one bit of byte N of an answer's body, the first one if nothing is said, is another one",
        &[
            breaks(&["corrupt=7,method=GET,path=*/blobs/*,when=200"], &["blob.get"]),
            breaks(&["corrupt=7,when=206"], &["blob.range"]),
            breaks(&["corrupt,path=*/manifests/sha*,when=200"], &["manifest.get-digest"]),
            breaks(&["corrupt,path=*/manifests/*,not=*/manifests/sha*,when=200"], &["manifest.get-tag"]),
        ],
    ),
    of_answers(
        "length=±N",
        "`Content-Length` claims N bytes more or fewer than there are",
        &[breaks(&["length=+3,method=HEAD,path=*/blobs/*"], &["blob.head-length"])],
    ),
    of_answers(
        "status=CODE[,retry-after=SECONDS]",
        "the registry is not asked, and the answer has this status; with `when` it is asked, and its answer gets this status",
        &[
            breaks(&["status=503,path=/v2/"], &["ping.status"]),
            breaks(&["status=401,path=/v2/"], &["ping.status", "manner.challenge"]),
            breaks(&["status=429,times=2,path=*/tags/list*"], &["manner.retry-after"]),
            breaks(&["status=429,retry-after=0,times=2,path=*/tags/list*"], &[]),
            breaks(&["status=404,when=200,method=HEAD,path=*/blobs/*"], &["blob.head"]),
            breaks(&["status=200,when=404,method=HEAD,path=*/blobs/*"], &["blob.head-missing"]),
            breaks(&["status=500,when=404,method=GET,path=*/blobs/sha*"], &["blob.missing"]),
            breaks(&["status=500,when=400,method=GET,path=*/blobs/*"], &["blob.malformed-digest"]),
            breaks(&["status=206,when=416,method=GET"], &["blob.range-unsatisfiable", "blob.range-reversed"]),
            breaks(&["status=200,when=202,method=POST,not=*mount=*"], &["upload.post"]),
            breaks(&["status=200,when=201,method=PUT,path=*/blobs/uploads/*"], &["upload.put"]),
            breaks(&["status=400,when=201,path=*/blobs/uploads/?digest=*"], &["upload.post-only"]),
            breaks(&["status=400,method=POST,path=*?digest-algorithm=*"], &["upload.digest-algorithm"]),
            breaks(&["status=500,when=400,method=PUT,path=*digest=*:malformed"], &["upload.malformed-digest"]),
            breaks(&["status=500,when=400,method=PUT,path=*/blobs/uploads/*,not=*digest=*"], &["upload.no-digest"]),
            breaks(&["status=500,when=400,path=*/blobs/uploads/?digest=*"], &["upload.post-digest-mismatch"]),
            breaks(
                &["status=500,when=400,method=PUT,path=*/blobs/uploads/*digest=*,not=*malformed"],
                &["upload.digest-mismatch"],
            ),
            breaks(&["status=400,path=*digest=*:e3b0c44298fc1c149afb*"], &["upload.empty"]),
            breaks(&["status=500,when=404,method=GET,path=*/blobs/uploads/*"], &["upload.unknown-session"]),
            breaks(&["status=201,when=202,method=PATCH,with=content-range"], &["upload.chunked"]),
            breaks(&["status=201,when=202,method=PATCH,without=content-range"], &["upload.stream"]),
            breaks(&["status=400,when=416,method=PATCH"], &["upload.out-of-order"]),
            breaks(&["status=400,when=416,method=PUT"], &["upload.put-out-of-order"]),
            breaks(&["status=500,when=201,method=PUT,with=content-range"], &["upload.put-chunk"]),
            breaks(&["status=200,when=204,method=GET"], &["upload.status"]),
            breaks(&["status=202,when=204,method=DELETE"], &["upload.cancel"]),
            lacks(&["status=405,method=DELETE,path=*/blobs/uploads/*"], &["upload.cancel", "upload.cancelled-gone"]),
            breaks(&["status=200,when=201,path=*/blobs/uploads/?from=*"], &["mount.from"]),
            breaks(&["status=200,when=201,path=*/blobs/uploads/?mount=*"], &["mount.anonymous"]),
            breaks(&["status=404,when=202,path=*/blobs/uploads/?from=*"], &["mount.missing"]),
            breaks(&["status=200,when=201,path=*/manifests/sha*"], &["manifest.put-digest"]),
            breaks(&["status=200,when=201,path=*/manifests/*,not=*/manifests/sha*"], &["manifest.put-tag"]),
            breaks(&["status=500,when=404,method=GET,path=*/manifests/*"], &["manifest.missing"]),
            breaks(&["status=200,when=404,method=HEAD,path=*/manifests/*"], &["manifest.head-missing"]),
            breaks(&["status=500,when=400,method=GET,path=*/manifests/sha*"], &["manifest.get-malformed-digest"]),
            breaks(&["status=500,when=400,method=PUT,path=*/manifests/*:malformed"], &["manifest.malformed-digest"]),
            breaks(
                &["status=500,when=400,method=PUT,path=*/manifests/sha*,not=*malformed"],
                &["manifest.digest-mismatch"],
            ),
            breaks(
                &["status=500,when=400,method=PUT,path=*/manifests/*,not=*/manifests/sha*"],
                &["manifest.media-type"],
            ),
            breaks(&["status=415,method=PUT,with=content-type:*;*"], &["manifest.content-type-parameters"]),
            breaks(&["status=400,when=413"], &["manifest.too-large"]),
            breaks(
                &["status=400,method=PUT,path=*/manifests/*,not=*sha256*,with=content-type:*index*"],
                &["manifest.index"],
            ),
            breaks(&["status=500,path=*/tags/list?n=0"], &["tags.n-zero"]),
            breaks(&["status=500,when=404,path=*/tags/list"], &["tags.unknown-repository"]),
            breaks(&["status=200,when=400,path=*/referrers/*"], &["referrer.malformed-digest"]),
            lacks(
                &["status=404,path=*/referrers/*"],
                &[
                    "referrer.subject-header",
                    "referrer.list",
                    "referrer.content-type",
                    "referrer.form",
                    "referrer.artifact-type",
                    "referrer.annotations",
                    "referrer.filter",
                    "referrer.filters-applied",
                    "referrer.empty",
                    "referrer.malformed-digest",
                    "referrer.pages",
                    "referrer.concurrent",
                    "referrer.tag-schema",
                    "delete.referrer",
                ],
            ),
            breaks(&["status=204,when=202,method=DELETE,path=*/manifests/*,not=*/manifests/sha*"], &["delete.tag"]),
            breaks(&["status=204,when=202,method=DELETE,path=*/manifests/sha*"], &["delete.manifest"]),
            breaks(&["status=204,when=202,method=DELETE,path=*/blobs/*"], &["delete.blob"]),
            breaks(&["status=202,when=404,method=DELETE,path=*/manifests/*"], &["delete.manifest-twice"]),
            breaks(&["status=202,when=404,method=DELETE,path=*/blobs/sha*"], &["delete.blob-twice"]),
            lacks(
                &["status=405,method=DELETE,path=*/manifests/*,not=*/manifests/sha*"],
                &["delete.tag", "delete.tag-gone", "delete.tag-alone"],
            ),
            lacks(
                &["status=400,method=DELETE,path=*/blobs/sha*"],
                &["delete.blob", "delete.blob-gone", "delete.blob-twice", "delete.blob-elsewhere"],
            ),
            breaks(&["status=500,when=400,path=*UPPER*"], &["error.name"]),
            breaks(&["status=500,when=405"], &["error.method"]),
            breaks(&["status=500,when=404,path=*/nothing*"], &["error.endpoint"]),
        ],
    ),
    of_answers(
        "header=NAME[:VALUE]",
        "an answer has this header, or does not have it",
        &[
            breaks(&["header=location,method=POST,path=*mount=*,when=201"], &["mount.location"]),
            breaks(&["header=location:/v2/,method=PUT,path=*/blobs/uploads/*,when=201"], &["upload.location"]),
            breaks(&["header=location,method=PUT,path=*/manifests/*,when=201"], &["manifest.location"]),
            breaks(&["header=location,method=PATCH"], &["upload.patch-location"]),
            breaks(&["header=range,method=PATCH,when=202"], &["upload.patch-range"]),
            breaks(&["header=range:0-0,method=PATCH,when=202"], &["upload.patch-range"]),
            breaks(&["header=range:0-9,when=204"], &["upload.status-range"]),
            breaks(&["header=docker-content-digest,method=GET+HEAD,path=*/blobs/*"], &["blob.digest-header"]),
            breaks(&["header=docker-content-digest,method=PUT,path=*/blobs/*"], &["upload.digest-header"]),
            breaks(&["header=docker-content-digest,method=GET,path=*/manifests/*"], &["manifest.digest-header"]),
            breaks(&["header=docker-content-digest,method=HEAD,path=*/manifests/*"], &["manifest.head"]),
            breaks(
                &["header=docker-content-digest:sha256:00,method=PUT,path=*/manifests/*"],
                &["manifest.put-digest-header"],
            ),
            breaks(&["header=content-range,when=206"], &["blob.content-range"]),
            breaks(
                &["header=content-type:application/json,method=GET,path=*/manifests/*,when=200"],
                &["manifest.content-type"],
            ),
            breaks(&["header=content-type:application/json,path=*/referrers/*"], &["referrer.content-type"]),
            breaks(&["header=oci-subject"], &["referrer.subject-header"]),
            lacks(&["header=oci-tag"], &["tag.parameters", "tag.ten-parameters"]),
            breaks(&["header=oci-filters-applied"], &["referrer.filters-applied"]),
            breaks(&["header=link,path=*/tags/list*"], &["tags.pages"]),
            breaks(&["header=warning:be careful"], &["manner.warning-form"]),
            breaks(&["header=warning:299 - \"be careful\""], &[]),
        ],
    ),
    of_answers(
        "json=MEMBER[:VALUE]",
        "the JSON of an answer has this member, or does not have it",
        &[
            breaks(&["json=name:\"other\",path=*/tags/list*"], &["tags.name"]),
            breaks(&["json=mediaType,path=*/referrers/*"], &["referrer.form"]),
        ],
    ),
    of_answers(
        "errors=FORM",
        "errors are written in another way: `html`, `plain` (JSON that is called text), `lower-case` or `vague` codes, \
         `malformed` JSON, `nothing`",
        &[
            Example {
                faults: &["errors=malformed"],
                breaks: &["error.body"],
                lacks: &[],
                blocks: &["error.content-type", "error.code-form", "error.code"],
            },
            Example {
                faults: &["errors=html"],
                breaks: &[],
                lacks: &["error.body", "error.content-type", "error.code-form", "error.code"],
                blocks: &[],
            },
            breaks(&["errors=plain"], &["error.content-type"]),
            breaks(&["errors=lower-case"], &["error.code-form"]),
            breaks(&["errors=vague"], &["error.code"]),
        ],
    ),
    of_answers(
        "redirect[=USER:PASSWORD]",
        "blobs are at another URL of the same registry, which may carry a password",
        &[breaks(&["redirect"], &[]), breaks(&["redirect=ada:secret,with=range:bytes=0-63"], &["manner.redirect"])],
    ),
    of_answers(
        "warning=N",
        "an answer has a warning of N letters",
        &[breaks(&["warning=5000"], &["manner.warning-length"]), breaks(&["warning=100"], &[])],
    ),
    fault(
        "ignore=NAME",
        "a request's header or parameter of this name is not looked at",
        &[
            lacks(&["ignore=range"], &["blob.range", "blob.content-range", "blob.range-unsatisfiable"]),
            Example {
                faults: &["ignore=content-range"],
                breaks: &["upload.out-of-order", "upload.put-out-of-order"],
                lacks: &[],
                blocks: &["upload.survives"],
            },
            lacks(&["ignore=mount"], &["mount.from", "mount.location", "mount.anonymous"]),
            lacks(&["ignore=from"], &[]),
            lacks(&["ignore=digest,method=POST"], &["upload.post-only"]),
            lacks(&["ignore=tag"], &["tag.parameters", "tag.ten-parameters"]),
            breaks(&["ignore=n"], &["tags.n", "tags.n-zero"]),
            breaks(&["ignore=last"], &["tags.last", "tags.pages"]),
            lacks(&["ignore=artifactType"], &["referrer.filter", "referrer.filters-applied"]),
            breaks(
                &["ignore=artifactType", "header=oci-filters-applied:artifactType,path=*artifactType=*"],
                &["referrer.filter"],
            ),
        ],
    ),
    fault(
        "limit=N",
        "requests with more than N bytes are refused with 413",
        &[breaks(&["limit=1048576"], &["manifest.large"])],
    ),
    fault(
        "chunk-minimum=N",
        "chunks have at least N bytes, but for the last one, and `OCI-Chunk-Min-Length` says so",
        &[
            breaks(&["chunk-minimum=2000"], &[]),
            breaks(&["chunk-minimum=1024", "header=oci-chunk-min-length"], &["upload.chunk-minimum"]),
        ],
    ),
    fault(
        "unproved",
        "a blob whose digest is not the one that was said is kept under its own",
        &[breaks(&["unproved"], &["upload.digest-mismatch", "upload.post-digest-mismatch", "upload.unproved-absent"])],
    ),
    fault(
        "sha256-only",
        "blobs under digests of sha512 are taken, and kept under those of sha256",
        &[Example { faults: &["sha256-only"], breaks: &["upload.algorithm"], lacks: &[], blocks: &["*"] }],
    ),
    fault(
        "subject-required",
        "a manifest is refused unless its subject is there",
        &[Example {
            faults: &["subject-required"],
            breaks: &["referrer.missing-subject"],
            lacks: &["delete.referrer"],
            blocks: &[],
        }],
    ),
    fault(
        "only-images",
        "a manifest is refused unless its configuration is that of an image",
        &[breaks(&["only-images"], &["manifest.artifact"])],
    ),
    fault("tags-unsorted", "tags are listed the other way round", &[breaks(&["tags-unsorted"], &["tags.order"])]),
    fault("tags-null", "an empty list of tags is `null`", &[breaks(&["tags-null"], &["tags.never-null"])]),
    fault(
        "list-limit=N",
        "lists have N entries at most, and nothing leads to the others",
        &[
            breaks(&["list-limit=3,path=*/tags/list"], &["tags.list"]),
            breaks(&["list-limit=2,path=*/referrers/*"], &["referrer.list", "referrer.concurrent"]),
        ],
    ),
    fault(
        "lists-endless",
        "lists lead to themselves as their next page",
        &[breaks(&["lists-endless"], &["tags.pages", "referrer.pages"])],
    ),
    fault("referrers-page=N", "lists of referrers come in pages of N", &[breaks(&["referrers-page=1"], &[])]),
    fault(
        "referrers-without=MEMBER",
        "referrers are listed without this member",
        &[
            breaks(&["referrers-without=annotations"], &["referrer.annotations"]),
            breaks(&["referrers-without=artifactType,not=*artifactType=*"], &["referrer.artifact-type"]),
        ],
    ),
    fault(
        "referrers-empty-404",
        "a list of referrers that would be empty is answered with 404",
        &[breaks(&["referrers-empty-404"], &["referrer.empty"])],
    ),
    fault("referrers-stale", "deleted referrers stay listed", &[breaks(&["referrers-stale"], &["delete.referrer"])]),
    fault(
        "referrers-lost",
        "of the referrers of one manifest that are pushed at the same time one is not listed",
        &[breaks(&["referrers-lost"], &["referrer.concurrent"])],
    ),
    fault(
        "referrers-tag-twice",
        "what a client keeps under the referrers tag is listed besides what the registry knows",
        &[breaks(&["referrers-tag-twice"], &["referrer.tag-schema"])],
    ),
    fault("tags-stick", "a tag goes on to name what it named first", &[breaks(&["tags-stick"], &["tag.moves"])]),
    fault(
        "tag-parameters=N",
        "N tags at most are made from the parameters of a push",
        &[breaks(&["tag-parameters=2"], &["tag.ten-parameters"])],
    ),
    fault(
        "tag-parameters-lie",
        "tags from the parameters of a push are confirmed and not made",
        &[breaks(&["tag-parameters-lie"], &["tag.parameters", "tag.ten-parameters"])],
    ),
    fault(
        "delete-nothing",
        "deletions are acknowledged, and nothing happens",
        &[
            breaks(&["delete-nothing,path=*/uploads/*"], &["upload.cancelled-gone"]),
            breaks(&["delete-nothing,path=*/manifests/*,not=*/manifests/sha*"], &["delete.tag-gone"]),
            breaks(
                &["delete-nothing,path=*/manifests/sha*"],
                &["delete.manifest-gone", "delete.manifest-tags", "delete.manifest-twice", "delete.referrer"],
            ),
            breaks(&["delete-nothing,path=*/blobs/sha*"], &["delete.blob-gone", "delete.blob-twice"]),
        ],
    ),
    fault(
        "delete-tag-deep",
        "the deletion of a tag deletes the manifest, with all its tags",
        &[breaks(&["delete-tag-deep"], &["delete.tag-alone"])],
    ),
    fault(
        "delete-leaves-tags",
        "the deletion of a manifest leaves its tags, which go on to name it",
        &[breaks(&["delete-leaves-tags"], &["delete.manifest-tags"])],
    ),
    fault(
        "delete-everywhere",
        "the deletion of a blob deletes it from all repositories",
        &[breaks(&["delete-everywhere"], &["delete.blob-elsewhere"])],
    ),
    fault(
        "mount-lies",
        "mounts are acknowledged, and nothing is mounted",
        &[breaks(&["mount-lies"], &["mount.from", "mount.location", "mount.anonymous", "mount.missing"])],
    ),
    fault(
        "fragile-sessions",
        "an upload session ends with the first chunk that it refuses",
        &[breaks(&["fragile-sessions"], &["upload.survives"])],
    ),
    fault(
        "upload-race",
        "an upload fails where another one has finished the same blob since it was begun",
        &[breaks(&["upload-race"], &["upload.concurrent"])],
    ),
    fault(
        "reversed-ranges",
        "a range that runs backwards is read as one that runs forwards",
        &[breaks(&["reversed-ranges"], &["blob.range-reversed"])],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::catalogue;

    #[test]
    fn examples_are_of_their_fault_and_parse() {
        for known in catalogue() {
            let name = known.form.split(['=', '[']).next().expect("a name");
            assert!(!known.does.is_empty() && !known.does.ends_with('.'), "{name}");
            assert!(!known.examples.is_empty(), "{name}");
            for text in known.examples.iter().flat_map(|example| example.faults) {
                let fault = text.parse::<Fault>().expect(text);
                if text.starts_with(name) {
                    assert_eq!(fault.kind.is_of_answers(), known.of_answers, "{name}");
                }
            }
            assert!(known.examples.iter().all(|example| example.faults[0].starts_with(name)), "{name}");
        }
    }
}
