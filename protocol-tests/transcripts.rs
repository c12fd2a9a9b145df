//! The wire cost of the main job, pinned.

use crate::support::front::Front;
use crate::support::registry::Embedded;
use crate::support::transcript;

#[tokio::test]
async fn push_and_pull_send_what_we_promise() {
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start().await;
    transcript::main_job(&front).await;
}
