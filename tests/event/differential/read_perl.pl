# The messages named on the command line as Perl's MIME::Parser reads them: a line of JSON for each. What it leaves to
# others is read by those that it is used with: Mail::Address and Encode.
use strict;
use warnings;
use Encode;
use JSON::PP;
use Mail::Address;
use MIME::Base64;
use MIME::Parser;

my $json = JSON::PP->new->utf8->canonical;

sub tree {
    my ($part) = @_;
    my $head = $part->head;
    my $name = $head->recommended_filename;
    my $disposition = $head->mime_attr('content-disposition') // '';
    my %node = (
        type => lc($part->mime_type), charset => $head->mime_attr('content-type.charset'),
        filename => defined $name ? words($name) : undef, disposition => lc($disposition),
        cid => bare($head->get('content-id')), start => bare($head->mime_attr('content-type.start')),
    );
    return {%node, children => [map { tree($_) } $part->parts]} if $part->parts;
    my $body = $part->bodyhandle;
    return {%node, octets => encode_base64($body ? $body->as_string : '', ''), text => undef};
}

sub bare { my ($id) = @_; $id //= ''; $id =~ s/[<>\s]//g; return $id; }
sub words { my ($text) = @_; my $read = eval { decode('MIME-Header', $text) }; return $read // undef; }

for my $path (@ARGV) {
    my $said = eval {
        my $parser = MIME::Parser->new;
        $parser->output_to_core(1);
        $parser->tmp_to_core(1);
        $parser->extract_nested_messages(0);
        $parser->decode_headers(0);
        my $mail = $parser->parse_open($path);
        my $head = $mail->head;
        my $field = sub { my $text = $head->get($_[0], 0); return undef unless defined $text; $text =~ s/\r?\n(?=[ \t])//g; $text =~ s/\s+\z//; $text };
        my $list = sub { my $text = $field->($_[0]); return [] unless defined $text; [map { $_->address // '' } Mail::Address->parse($text)] };
        my $ids = sub { my $text = $field->($_[0]); return [] unless defined $text; [$text =~ /</ ? $text =~ /<([^<>\s]+)>/g : split " ", $text] };
        my $subject = $field->('Subject');
        +{
            subject => defined $subject ? words($subject) : undef,
            from => $list->('From'), to => $list->('To'), cc => $list->('Cc'), reply_to => $list->('Reply-To'),
            message_id => $ids->('Message-ID'), in_reply_to => $ids->('In-Reply-To'), references => $ids->('References'),
            tree => tree($mail),
        };
    };
    print $json->encode($said // {error => "$@"}), "\n";
}
