# Builds both programs, their completions and man pages, the units and the journal's catalogue.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
let
  root = ../..;
  manifest = builtins.fromTOML (builtins.readFile (root + "/Cargo.toml"));
in
rustPlatform.buildRustPackage {
  pname = "compose-agent";
  inherit (manifest.workspace.package) version;

  # Only what the build reads: an edited document or test of the host builds nothing anew.
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/specs")
      (root + "/agent")
      (root + "/docker")
      (root + "/systemd/Cargo.toml")
      (root + "/systemd/src")
      (root + "/systemd/units")
      (root + "/systemd/catalog")
      (root + "/systemd/monitoring")
      (root + "/tests")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  cargoBuildFlags = [
    "--package"
    "agent"
    "--bins"
  ];
  # The workspace's own tests bring an Engine and need root: tests/run has them. These need nothing.
  cargoTestFlags = [
    "--package"
    "specs"
    "--package"
    "plan"
    "--lib"
  ];

  nativeBuildInputs = [ installShellFiles ];
  # The program itself writes its completions and pages: not where it is built for another machine.
  postInstall =
    lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      for shell in bash fish zsh; do
        installShellCompletion --cmd agentctl --$shell <($out/bin/agentctl completion $shell)
      done
      $out/bin/agentctl man pages
      installManPage pages/*
    ''
    + ''
      install -Dm644 -t $out/share/compose-agent systemd/monitoring/*
      install -Dm644 -t $out/lib/systemd/catalog systemd/catalog/compose-agent.catalog
      install -Dm644 -t $out/lib/systemd/system systemd/units/*.service systemd/units/*.socket systemd/units/*.mount
      substituteInPlace $out/lib/systemd/system/compose-agent.service --replace-fail /usr/local/bin $out/bin
    '';

  meta = {
    description = "Docker Compose stacks of the system profile, reconciled";
    license = lib.licenses.mit;
    mainProgram = "compose-agent";
    platforms = lib.platforms.linux;
  };
}
