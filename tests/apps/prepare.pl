# What mail to Request Tracker needs: anybody may open a ticket and write to one.
use strict;
use warnings;
use lib '/usr/share/request-tracker5/lib';
use RT -init;

my $everyone = RT::Group->new(RT->SystemUser);
$everyone->LoadSystemInternalGroup('Everyone');
for my $right (qw(CreateTicket ReplyToTicket CommentOnTicket)) {
    my ($done, $why) = $everyone->PrincipalObj->GrantRight(Right => $right, Object => RT->System);
    die "$right: $why" unless $done;
}
