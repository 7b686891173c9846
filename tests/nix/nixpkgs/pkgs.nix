# A pkgs that is small enough to be built by nothing but a static busybox, at ./busybox, and the programs of this checkout.
{
  lib,
  system ? "x86_64-linux",
  programs ? builtins.getEnv "COMPOSE_AGENT_PROGRAMS",
  tools ? builtins.getEnv "COMPOSE_AGENT_TOOLS",
}:
let
  shell = "${
    builtins.path {
      # A flake sees only what is beside it; tests/nix/run puts it there.
      path = if tools == "" then ./tools else tools;
      name = "tools";
    }
  }/busybox";
  applets = [
    "mkdir"
    "ln"
    "cp"
    "cat"
    "chmod"
    "dirname"
  ];
  run =
    name: env: script:
    derivation (
      {
        inherit name system;
        builder = shell;
        args = [
          "sh"
          "-euc"
          (lib.concatMapStrings (applet: "${applet}() { ${shell} ${applet} \"$@\"; }\n") applets + script)
        ];
      }
      // env
    )
    // {
      inherit env;
      type = "derivation";
    };
  self = {
    inherit lib;
    stdenv.hostPlatform = {
      inherit system;
      isLinux = true;
    };
    runtimeShell = "${shell} sh";
    runCommand = run;
    writeText =
      name: text:
      builtins.toFile (lib.strings.sanitizeDerivationName name) (
        builtins.unsafeDiscardStringContext text
      );
    writeTextFile =
      {
        name,
        text,
        executable ? false,
        ...
      }:
      run name { inherit text; } ''
        printf %s "$text" > $out
        ${lib.optionalString executable "chmod +x $out"}
      '';
    formats.json = _: {
      type = lib.types.json or lib.types.anything;
      # With its context: what a spec names, an image archive, must be there as long as the spec is.
      generate = name: value: run name { text = builtins.toJSON value; } "printf %s \"$text\" > $out";
    };
    callPackage =
      file: given:
      let
        function = import file;
      in
      function (lib.intersectAttrs (lib.functionArgs function) self // given);
    dockerTools.buildImage = image: run image.name { } "echo > $out";
    pkgsStatic.busybox = run "busybox" { } "echo > $out";
    testers.runNixOSTest = test: test // { isTest = true; };
    installShellFiles = "install-shell-files";
    # What nixpkgs would build from source are the programs that cargo has built in this checkout.
    rustPlatform.buildRustPackage =
      recipe:
      run "${recipe.pname}-${recipe.version}" { } ''
        mkdir -p $out/bin
        ln -s ${programs}/compose-agent ${programs}/agentctl $out/bin/
      ''
      // {
        inherit recipe;
        inherit (recipe) meta pname version;
      };
    mkShell = shell: run "shell" { } "echo > $out" // shell;
    nixfmt-tree = run "nixfmt" { } "echo > $out";
    nixfmt = run "nixfmt" { } "echo > $out";
    sops = run "sops" { } "mkdir -p $out/bin";
    cargo = run "cargo" { } "echo > $out";
    clippy = self.cargo;
    rustc = self.cargo;
    rustfmt = self.cargo;
    cargo-deny = self.cargo;
    age = self.cargo;
    docker = self.cargo;
    buildPackages = self // {
      compose-agent = self.callPackage ../../../systemd/nixos/package.nix { };
    };
    compose-agent = self.buildPackages.compose-agent;
    extend = overlay: self // overlay self self;
  };
in
self
