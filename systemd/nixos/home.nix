# The Home Manager module, for a host that is not NixOS or a user with a rootless Engine: the same stacks, a unit of the
# user, and the Home Manager generation as the profile.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types literalExpression;
  cfg = config.services.compose-agent;
  render = import ./render.nix { inherit lib pkgs; };
  common = import ./common.nix { inherit lib pkgs; };
  stackOptions = import ./stack-options.nix { inherit lib pkgs; };
  stacks = lib.filterAttrs (_: stack: stack.enable) cfg.stacks;
  arguments = [
    "--profile=${cfg.generation}"
    "--docker-host=${common.engine cfg.docker.socket}"
    "--gc-roots=${cfg.gcRoots}"
  ]
  ++ map (key: "--age-key=${key}") cfg.keys
  ++ lib.optional (cfg.metrics.listen != null) "--metrics=${cfg.metrics.listen}"
  ++ lib.optional (cfg.metrics.textFile != null) "--metrics-file=${cfg.metrics.textFile}"
  ++ cfg.extraArgs;
in
{
  options.services.compose-agent = common.options "user" // {
    docker.socket = mkOption {
      type = types.str;
      default = "unix://%t/docker.sock";
      example = "unix://%t/podman/podman.sock";
      description = "Where the user's Engine listens. `%t` is the user's runtime folder.";
    };
    keys = mkOption {
      type = types.listOf types.str;
      default = [ "${config.xdg.configHome}/sops/age/keys.txt" ];
      defaultText = literalExpression "[ \"\${config.xdg.configHome}/sops/age/keys.txt\" ]";
      example = [ "/home/me/.ssh/id_ed25519" ];
      description = "Files with age identities, or ssh keys.";
    };
    generation = mkOption {
      type = types.str;
      default = "${config.xdg.stateHome}/home-manager/gcroots/current-home";
      defaultText = literalExpression "\"\${config.xdg.stateHome}/home-manager/gcroots/current-home\"";
      example = "/home/me/.local/state/nix/profiles/home-manager";
      description = "The link that leads to the active Home Manager generation.";
    };
    gcRoots = mkOption {
      type = types.str;
      default = "/nix/var/nix/gcroots/per-user/${config.home.username}/compose-agent";
      defaultText = literalExpression "\"/nix/var/nix/gcroots/per-user/\${config.home.username}/compose-agent\"";
      example = "/nix/var/nix/gcroots/per-user/me/compose-agent";
      description = "Where store paths that containers mount are kept from the garbage collector.";
    };
    stacks = mkOption {
      default = { };
      example = literalExpression "{ web.compose = ./docker-compose.yml; }";
      description = "The stacks, as in the NixOS module.";
      type = types.attrsOf (types.submodule { options = stackOptions.stack // stackOptions.policy; });
    };
  };

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];
    home.sessionVariables.AGENTCTL_SOCKET = "$XDG_RUNTIME_DIR/compose-agent/control.sock";
    # In the generation itself, which is what is activated and rolled back.
    home.extraBuilderCommands = ''
      ln -s ${
        render.checked {
          inherit (cfg) package;
          inherit stacks;
          agentYaml = common.agentYaml { notify = common.notify (_: path: path) cfg.notifications; };
        }
      }/etc $out/etc
    '';
    systemd.user.services.compose-agent = {
      Unit = {
        Description = "Docker Compose stacks of this user";
        After = [
          "docker.service"
          "podman.socket"
        ];
      };
      Service = {
        Type = "notify-reload";
        NotifyAccess = "main";
        WatchdogSec = 60;
        ExecStart = "${cfg.package}/bin/compose-agent ${lib.concatStringsSep " " arguments}";
        Restart = "on-failure";
        RestartSec = 2;
        KillMode = "mixed";
        RuntimeDirectory = "compose-agent";
        RuntimeDirectoryPreserve = "yes";
        StateDirectory = "compose-agent";
        UMask = "0077";
        NoNewPrivileges = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RestrictRealtime = true;
        SystemCallArchitectures = "native";
      };
      Install.WantedBy = [ "default.target" ];
    };
    systemd.user.services.compose-agent-notify = lib.mkIf (cfg.notifications != [ ]) {
      Unit = {
        Description = "Notifications of compose-agent";
        After = [ "compose-agent.service" ];
      };
      Service = {
        ExecStart = "${cfg.package}/bin/agentctl --socket=%t/compose-agent/control.sock notify --profile=${cfg.generation}";
        Restart = "always";
        RestartSec = 5;
        NoNewPrivileges = true;
      };
      Install.WantedBy = [ "default.target" ];
    };
  };
}
