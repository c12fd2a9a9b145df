//! A large file that is sent while it is hashed, to registries of other makes.

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::peers::{Door, Foreign, Speech};
use crate::support::scenario::{app_of, pull, push};

#[tokio::test]
async fn others_take_a_blob_before_its_digest() {
    for make in ["docker-registry", "distribution", "olareg"] {
        let registry = match make {
            "olareg" => Foreign::olareg(&Speech::Plain).await,
            other => Foreign::distribution(other, Door::Open, &Speech::Plain).await,
        };
        let front = Front::before(registry.address()).start().await;
        let (cli, reference) = (Cli::new(), format!("{}/app:v1", front.registry()));
        let app = app_of(&cli, "static-site");
        let large = cli.path("work/static-site/assets/large.bin");
        std::fs::write(&large, make.repeat(100)).expect("a file of ours");
        let file = std::fs::File::options().write(true).open(&large).expect("a file of ours");
        file.set_len(33 << 20).expect("a sparse file");
        push(&cli, &app, &reference, &[]).await;
        let wire = front.wire();
        assert_eq!((wire.count("PATCH "), wire.count("DELETE ")), (1, 0), "{make}: {:#?}", wire.lines());
        pull(&cli, &reference, &[]).await;
    }
}
