//! The wire cost of push and pull, pinned.

use super::cli::Cli;
use super::front::Fronted;
use super::scenario::{app, pull, push};
use super::wire::{compare, settled};

/// Compares what push and pull of `static-site` ask of the registry behind `front` with the golden transcripts.
pub(crate) async fn main_job(front: &Fronted) {
    let cli = Cli::new();
    let (app, wire) = (app("static-site"), front.wire());
    let first = format!("{}/app:v1", front.registry());
    let second = format!("{}/app:v2", front.registry());
    wire.take();

    push(&cli, &app, &first, &[]).await;
    compare("push-cold", &settled(wire.take()));
    push(&cli, &app, &first, &[]).await;
    compare("push-unchanged", &wire.take());
    push(&cli, &app, &second, &[]).await;
    compare("push-new-tag", &wire.take());
    pull(&cli, &first, &[]).await;
    compare("pull-cold", &settled(wire.take()));
    pull(&cli, &first, &[]).await;
    compare("pull-cached", &wire.take());
}
