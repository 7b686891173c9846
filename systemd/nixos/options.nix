# What does an operator say about the agent on this host?
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types literalExpression;
  stackOptions = import ./stack-options.nix { inherit lib pkgs; };
  cfg = config.services.compose-agent;
  common = import ./common.nix { inherit lib pkgs; };
  inherit (import ./types.nix { inherit lib; }) span privatePath;
  # What is said for all stacks stands in each, until it says something else itself.
  inherited =
    let
      weak = lib.mapAttrs (_: lib.mkDefault);
    in
    {
      requiresMounts = lib.mkBefore cfg.defaults.requiresMounts;
      drift = lib.mkIf (cfg.defaults.drift != null) (lib.mkDefault cfg.defaults.drift);
      update = weak cfg.defaults.update;
      pruneImages = lib.mkIf (cfg.defaults.pruneImages != null) (lib.mkDefault cfg.defaults.pruneImages);
      checkRegistry = lib.mkDefault cfg.defaults.checkRegistry;
      registries = weak cfg.defaults.registries;
      healthDeadline = lib.mkDefault cfg.defaults.healthDeadline;
      unsetVariables = lib.mkDefault cfg.defaults.unsetVariables;
      removeOrphans = lib.mkDefault cfg.defaults.removeOrphans;
    };
  sopsNix = config.sops.age or { };
  hostKeys = map (key: key.path) (
    lib.filter (key: key.type == "ed25519") (config.services.openssh.hostKeys or [ ])
  );
in
{
  options.services.compose-agent = common.options "system" // {
    checkPackage = mkOption {
      type = types.package;
      default = cfg.package;
      defaultText = literalExpression "config.services.compose-agent.package";
      example = literalExpression "pkgs.buildPackages.compose-agent";
      description = "The package whose `agentctl check` runs where the system is built: another one where that is another platform.";
    };
    docker.socket = mkOption {
      type = types.strMatching "(unix:///|tcp://|/).+";
      default =
        if (config.virtualisation.podman.enable or false) && !config.virtualisation.docker.enable then
          "/run/podman/podman.sock"
        else
          "/run/docker.sock";
      defaultText = "Docker's socket; Podman's, where only that is enabled";
      example = "tcp://10.0.0.2:2375";
      description = "Where the Engine listens: a path, or an address as in DOCKER_HOST.";
    };
    keys = {
      age = mkOption {
        type = types.listOf privatePath;
        default = lib.optional ((sopsNix.keyFile or null) != null) sopsNix.keyFile;
        defaultText = literalExpression "[ config.sops.age.keyFile ], where sops-nix has one";
        example = [ "/var/lib/sops-nix/key.txt" ];
        description = "Files with age identities. One that is absent keeps nothing from starting.";
      };
      ssh = mkOption {
        type = types.listOf privatePath;
        default = sopsNix.sshKeyPaths or (lib.optionals config.services.openssh.enable hostKeys);
        defaultText = literalExpression "config.sops.age.sshKeyPaths, else the host's ed25519 keys";
        example = [ "/etc/ssh/ssh_host_ed25519_key" ];
        description = "SSH keys that are used as age identities.";
      };
      sops = mkOption {
        type = types.nullOr types.package;
        default = null;
        example = literalExpression "pkgs.sops";
        description = "The sops program, for files that only a cloud's key service, PGP or Vault opens.";
      };
    };
    group = mkOption {
      type = types.str;
      default = "compose-agent";
      example = "wheel";
      description = "Members may steer the agent with agentctl: over containers that is root's power.";
    };
    readGroup = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "users";
      description = "Members may look with agentctl, and no more.";
    };
    resync = mkOption {
      type = span;
      default = "5m";
      example = "1h";
      description = "How often every stack is looked at, whatever happens.";
    };
    parallel = mkOption {
      type = types.ints.positive;
      default = 4;
      example = 1;
      description = "How many stacks are worked on at a time.";
    };
    allowEmpty = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether declaring no stack at all is meant, and takes all of them down.";
    };
    preSwitchCheck = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether the incoming system's stacks are checked on the host before a switch stops anything: specs, secrets, images,
        bind sources, host ports and container names, by `agentctl preflight`. `NIXOS_NO_CHECK=1` lets one switch pass.
      '';
    };
    dryActivate = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = "Whether `dry-activate` says what would be done to containers.";
    };
    waitOnSwitch = {
      enable = mkOption {
        type = types.bool;
        default = false;
        example = true;
        description = "Whether a switch waits until the containers are as declared, and fails where they are not.";
      };
      timeout = mkOption {
        type = span;
        default = "5m";
        example = "90s";
        description = "How long it waits.";
      };
    };
    defaults = stackOptions.policy;
    stacks = mkOption {
      default = { };
      example = literalExpression "{ immich = { compose = ./docker-compose.yml; secrets.env = [ \"/run/secrets/immich.env\" ]; }; }";
      description = "The stacks. Each is a folder of `/etc/compose-agent`.";
      type = types.attrsOf (
        types.submodule {
          options = stackOptions.stack // stackOptions.policy;
          config = inherited;
        }
      );
    };
    profile = mkOption {
      type = types.package;
      readOnly = true;
      internal = true;
      description = "All stacks as a profile of their own, checked.";
    };
  };
}
