{
  description = "Docker Compose stacks as a part of the NixOS system";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forAllSystems =
        make:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: make nixpkgs.legacyPackages.${system});
      packageOf = pkgs: pkgs.callPackage ./systemd/nixos/package.nix { };
      # The modules work without flakes, too; from here they bring the package along.
      withPackage = module: { pkgs, ... }: {
        imports = [ module ];
        services.compose-agent.package = lib.mkDefault (packageOf pkgs);
      };
    in
    {
      packages = forAllSystems (pkgs: {
        default = packageOf pkgs;
      });

      apps = forAllSystems (pkgs: {
        agentctl = {
          type = "app";
          program = "${packageOf pkgs}/bin/agentctl";
          meta.description = "Looks at compose files and asks the agent";
        };
      });

      overlays.default = final: _prev: { compose-agent = packageOf final; };

      nixosModules.default = withPackage ./systemd/nixos/module.nix;

      homeModules.default = withPackage ./systemd/nixos/home.nix;

      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.clippy
            pkgs.rustc
            pkgs.rustfmt
            pkgs.cargo-deny
            pkgs.age
            pkgs.sops
            pkgs.docker
          ];
        };
      });

      # The whole tree, where `nix fmt` names no file.
      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);

      checks = forAllSystems (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        vm = import ./systemd/nixos/test.nix {
          inherit pkgs;
          module = self.nixosModules.default;
        };
        format = pkgs.runCommand "format" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
          find ${./flake.nix} ${./systemd/nixos} ${./tests/nix} -name '*.nix' -exec nixfmt --check {} +
          touch $out
        '';
      });
    };
}
