# The NixOS module: `imports = [ ./module.nix ];` and `services.compose-agent.enable = true;`.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.compose-agent;
  render = import ./render.nix { inherit lib pkgs; };
  stacks = lib.filterAttrs (_: stack: stack.enable) cfg.stacks;
  common = import ./common.nix { inherit lib pkgs; };
  agentYaml = common.agentYaml {
    allow_empty = cfg.allowEmpty;
    # Secrets are credentials of the unit that notifies: it reads no others.
    notify = common.notify (credential: _: credential) cfg.notifications;
  };
  etc = lib.concatMapAttrs (
    name: stack:
    lib.mapAttrs' (file: source: {
      name = "compose-agent/${name}/${file}";
      value = { inherit source; };
    }) (render.files stack)
  ) stacks;
  agentctl = "${cfg.package}/bin/agentctl";
  preflight = lib.escapeShellArgs (
    [
      agentctl
      "preflight"
      "--docker-host=${common.engine cfg.docker.socket}"
    ]
    ++ map (key: "--age-key=${key}") (cfg.keys.age ++ cfg.keys.ssh)
  );
in
{
  _class = "nixos";
  imports = [
    ./options.nix
    ./assertions.nix
    ./units.nix
  ];

  config = lib.mkIf cfg.enable {
    services.compose-agent.profile = render.checked {
      package = cfg.checkPackage;
      inherit stacks agentYaml;
    };

    environment.etc =
      etc
      // lib.optionalAttrs (agentYaml != null) {
        "compose-agent/agent.yaml".source = agentYaml;
      };
    environment.systemPackages = [ cfg.package ];

    # A system whose stacks agentctl refuses cannot be built.
    system.checks = [ cfg.profile ];

    # Called with the incoming system, fails the switch before anything stops. What is done with it is the second argument
    # of newer releases, and a variable of all. Not every release ends the script at a command that fails.
    system.preSwitchChecks = lib.mkIf (cfg.preSwitchCheck && stacks != { }) {
      compose-agent = ''
        ${lib.optionalString (cfg.keys.sops != null) "PATH=${cfg.keys.sops}/bin:\${PATH-}"}
        ${preflight} --verb="''${2-''${NIXOS_ACTION-switch}}" "''${1-}" || {
          echo "compose-agent: NIXOS_NO_CHECK=1 switches nevertheless" >&2
          exit 1
        }
      '';
    };

    # An activation script and not the check above: only these are known to run at dry-activate on every release.
    system.activationScripts = lib.mkIf (cfg.dryActivate && stacks != { }) {
      compose-agent = {
        supportsDryActivation = true;
        text = ''
          if [ "''${NIXOS_ACTION-}" = dry-activate ]; then
            compose_agent_said=0
            ${agentctl} plan --profile "$systemConfig" || compose_agent_said=$?
            # No agent runs yet that could compare: the specs alone, then.
            [ "$compose_agent_said" != 1 ] || ${agentctl} check "$systemConfig" || true
          fi
        '';
      };
    };
  };
}
