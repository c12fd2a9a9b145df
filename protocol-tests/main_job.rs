//! Push and pull from end to end, by the real tool.

use crate::support::cli::Cli;
use crate::support::front::Front;
use crate::support::guard::Guard;
use crate::support::registry::Embedded;
use crate::support::scenario::main_job;
use crate::support::tls::Authority;

const USER: &str = "ada";
const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn an_open_registry() {
    let registry = Embedded::start().await;
    main_job(&Cli::new(), &registry.address().to_string(), &[]).await;
}

#[tokio::test]
async fn a_registry_that_wants_a_password_or_a_token() {
    for guard in [Guard::basic(USER, PASSWORD), Guard::bearer(USER, PASSWORD)] {
        let registry = Embedded::start().await;
        let front = Front::before(registry.address()).guarded(&guard).start().await;
        let cli = Cli::new().secret(PASSWORD).secret("wrong-password");
        let login = ["login", &front.registry(), "-u", USER, "--password-stdin"];
        let complaint = cli.run_with_input(login, "wrong-password\n").await.failure(4);
        assert!(complaint.contains(USER), "{complaint}");
        assert!(!cli.path("config/fermyon/registry-auth.json").exists(), "what was not proved is not saved");
        let printed = cli.run_with_input(login, &format!("{PASSWORD}\n")).await.success();
        assert_eq!(printed, format!("Successfully logged in as {USER} to registry {}\n", front.registry()));
        main_job(&cli, &front.registry(), &[]).await;
    }
}

#[tokio::test]
async fn a_registry_behind_tls_with_an_authority_of_its_own() {
    let authority = Authority::new();
    let registry = Embedded::start().await;
    let front = Front::before(registry.address()).start_tls(&authority).await;
    let ca = authority.file();
    let ca = ca.to_str().expect("a path");
    main_job(&Cli::new(), &front.registry(), &["--ca-file", ca]).await;
    main_job(&Cli::new(), &front.registry(), &["--insecure"]).await;
    let complaint = Cli::new().run(["pull", &format!("{}/a/b", front.registry())]).await.failure(6);
    assert!(complaint.contains("--ca-file"), "{complaint}");
}
