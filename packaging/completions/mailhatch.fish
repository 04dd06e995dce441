# fish completion for mailhatch(8)
set -l commands serve pipe explain check fetch inbox held import demo
complete -c mailhatch -l config -r -d 'The configuration file'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a serve -d 'Run the LMTP service'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a pipe -d 'Take one message from pipe(8)'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a explain -d 'Say what would happen to a message'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a check -d 'Test the configuration and what is behind it'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a held -d 'The copies kept back'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a fetch -d 'Read mail from mailboxes'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a inbox -d 'What is known of the mailboxes'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a import -d 'A configuration from that of GitLab or mail_room'
complete -c mailhatch -f -n "not __fish_seen_subcommand_from $commands" -a demo -d 'Show the main job'
complete -c mailhatch -f -n '__fish_seen_subcommand_from held' -a 'list show release purge'
complete -c mailhatch -f -n '__fish_seen_subcommand_from inbox' -a 'list show retry restart'
complete -c mailhatch -f -n '__fish_seen_subcommand_from inbox' -l since -x -a 'now unseen all' -d 'What is read'
complete -c mailhatch -n '__fish_seen_subcommand_from fetch' -l inbox -x -d 'Read this one alone'
complete -c mailhatch -n '__fish_seen_subcommand_from fetch' -l once -d 'End when nothing is due'
complete -c mailhatch -n '__fish_seen_subcommand_from fetch' -l dry-run -d 'Count, and change nothing'
complete -c mailhatch -n '__fish_seen_subcommand_from explain' -l json -d 'For a program'
complete -c mailhatch -n '__fish_seen_subcommand_from explain' -l inbox -x -d 'The inbox that it lies in'
complete -c mailhatch -n '__fish_seen_subcommand_from explain' -l uid -x -d 'Its UID there'
complete -c mailhatch -n '__fish_seen_subcommand_from check' -l send -d 'Send a message through Postfix'
complete -c mailhatch -n '__fish_seen_subcommand_from check' -l postfix-config -r -d 'Configuration directory of Postfix'
for option in sender recipient original-recipient client-address client-helo client-name queue-id
    complete -c mailhatch -n '__fish_seen_subcommand_from pipe explain' -l $option -r
end
